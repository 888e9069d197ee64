// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors_set.h"

#include <algorithm>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kIndex[] = "model.safetensors.index.json";

absl::Span<const std::byte> BytesOfText(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// Tensors a and c in one file, b in another.
class SafetensorsSetTest : public testing::Test {
 protected:
  SafetensorsSetTest() {
    WriteFile("one.safetensors", {{"a", "aaaa"}, {"c", "cccccc"}});
    WriteFile("two.safetensors", {{"b", "bbb"}});
  }

  void WriteFile(const std::string& name,
                 const std::vector<std::pair<std::string, std::string>>& tensors) {
    std::vector<TensorDescription> descriptions;
    for (const auto& [tensor, bytes] : tensors) {
      descriptions.push_back(
          {.name = tensor, .type = DataType::kU8, .shape = {static_cast<int64_t>(bytes.size())}});
    }
    auto writer = SafetensorsWriter::Create(directory_.File(name), descriptions);
    ASSERT_THAT(writer, IsOk());
    for (const auto& [tensor, bytes] : tensors) {
      ASSERT_THAT(writer->Write(tensor, BytesOfText(bytes)), IsOk());
    }
    ASSERT_THAT(writer->Commit(), IsOk());
  }

  absl::StatusOr<SafetensorsSet> Open(const std::string& index) {
    directory_.Write(kIndex, index);
    return SafetensorsSet::OpenDirectory(directory_.path());
  }

  TestDirectory directory_;
};

// The bytes of a tensor that is read two bytes at a time.
absl::StatusOr<std::string> StreamOf(const SafetensorsSet& set, const std::string& name) {
  const TensorEntry& tensor = *set.Find(name);
  TensorStream stream(set, tensor);
  std::string read(static_cast<size_t>(tensor.size_bytes()), ' ');
  for (size_t at = 0; at < read.size(); at += 2) {
    const auto status = stream.Next(absl::MakeSpan(reinterpret_cast<std::byte*>(read.data()) + at,
                                                   std::min<size_t>(2, read.size() - at)));
    if (!status.ok()) {
      return status;
    }
  }
  return read;
}

TEST_F(SafetensorsSetTest, ATensorThatIsReadInPiecesIsComparedWithItsChecksum) {
  constexpr char kOneIndex[] = R"({"weight_map":
      {"a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors"}})";
  const auto set = Open(kOneIndex);
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(StreamOf(*set, "b").value_or(""), "bbb");
  EXPECT_EQ(StreamOf(*set, "c").value_or(""), "cccccc");
  std::string bytes = directory_.Read("two.safetensors");
  bytes.back() = 'x';
  directory_.Write("two.safetensors", bytes);
  const auto changed = Open(kOneIndex);
  ASSERT_THAT(changed, IsOk());
  EXPECT_THAT(StreamOf(*changed, "c"), IsOk());
  EXPECT_THAT(
      StreamOf(*changed, "b"),
      StatusIs(absl::StatusCode::kDataLoss, testing::AllOf(HasSubstr("two.safetensors: tensor b"),
                                                           HasSubstr("was changed on the disk"))));
}

TEST_F(SafetensorsSetTest, ShardsReadLikeOneFile) {
  const auto set = Open(R"({"metadata": {"total_size": 13}, "weight_map":
      {"a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors"}})");
  ASSERT_THAT(set, IsOk());
  EXPECT_THAT(set->FileNames(), ElementsAre("one.safetensors", "two.safetensors"));
  ASSERT_EQ(set->tensors().size(), 3U);
  EXPECT_EQ(set->Find("d"), nullptr);
  for (const auto& [name, wanted] :
       {std::make_pair("a", "aaaa"), std::make_pair("b", "bbb"), std::make_pair("c", "cccccc")}) {
    const TensorEntry* tensor = set->Find(name);
    ASSERT_NE(tensor, nullptr);
    std::string bytes(static_cast<size_t>(tensor->size_bytes()), '\0');
    ASSERT_THAT(set->Read(*tensor, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}),
                IsOk());
    EXPECT_EQ(bytes, wanted);
    std::string last(1, '\0');
    ASSERT_THAT(set->ReadPart(*tensor, tensor->size_bytes() - 1,
                              {reinterpret_cast<std::byte*>(last.data()), 1}),
                IsOk());
    EXPECT_EQ(last, bytes.substr(bytes.size() - 1));
  }
}

TEST_F(SafetensorsSetTest, OneFileComesBeforeAnIndex) {
  WriteFile("model.safetensors", {{"z", "z"}});
  const auto set = Open("{}");
  ASSERT_THAT(set, IsOk());
  EXPECT_THAT(set->FileNames(), ElementsAre("model.safetensors"));
}

TEST_F(SafetensorsSetTest, BadIndexesAreRefused) {
  const auto refused = [&](const std::string& index, absl::StatusCode code,
                           const std::string& message) {
    EXPECT_THAT(Open(index), StatusIs(code, HasSubstr(message))) << index;
  };
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  refused("{", kInvalid, "not valid JSON");
  refused("{}", kInvalid, "weight_map: wants an object of tensor: file");
  refused(R"({"weight_map": {"a": "../one.safetensors"}})", kInvalid, "tensor a: wants the name");
  refused(R"({"weight_map": {"a": 1}})", kInvalid, "tensor a: wants the name");
  refused(R"({"weight_map": {"a": "one.bin"}})", kInvalid, "tensor a: wants the name");
  refused(R"({"weight_map": {"b": "one.safetensors"}})", kInvalid, "b: is not in one.safetensors");
  refused(R"({"weight_map": {"a": "one.safetensors"}})", kInvalid,
          "has 1 tensors, the files have 2");
  refused(R"({"weight_map": {"a": "three.safetensors"}})", absl::StatusCode::kNotFound,
          "three.safetensors");
  WriteFile("two.safetensors", {{"a", "b"}, {"b", "b"}});
  refused(R"({"weight_map": {"a": "one.safetensors", "c": "one.safetensors",
              "b": "two.safetensors"}})",
          kInvalid, "tensor a: is in two files");
}

}  // namespace
}  // namespace wattle::formats
