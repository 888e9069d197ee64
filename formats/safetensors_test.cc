// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/crc32c.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::Span<const std::byte> AsBytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A file of this header and so many zero bytes after it.
std::string FileOf(const std::string& header, size_t data_bytes) {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) {
    file[i] = static_cast<char>((header.size() >> (8 * i)) & 0xff);
  }
  return file + header + std::string(data_bytes, '\0');
}

absl::StatusOr<SafetensorsHeader> Parse(const std::string& file) {
  return ParseSafetensorsHeader("m.safetensors", AsBytes(file), static_cast<int64_t>(file.size()));
}

std::string WriteSmall(const std::string& path) {
  auto writer = SafetensorsWriter::Create(path,
                                          {{.name = "b", .type = DataType::kI8, .shape = {3}},
                                           {.name = "c", .type = DataType::kF32, .shape = {2, 1}},
                                           {.name = "a", .type = DataType::kF32, .shape = {1}}},
                                          {{"format", "pt"}, {"x", "y\"z"}});
  EXPECT_THAT(writer, IsOk());
  EXPECT_THAT(writer->Write("b", AsBytes("xyz")), IsOk());
  EXPECT_THAT(writer->Write("a", AsBytes("aaaa")), IsOk());
  EXPECT_THAT(writer->Write("c", AsBytes("ccccdddd")), IsOk());
  EXPECT_THAT(writer->Commit(), IsOk());
  return path;
}

TEST(SafetensorsTest, WhatWasWrittenIsRead) {
  const TestDirectory directory;
  const auto file = SafetensorsFile::Open(WriteSmall(directory.File("m.safetensors")));
  ASSERT_THAT(file, IsOk());
  ASSERT_EQ(file->tensors().size(), 3U);
  EXPECT_EQ(file->tensors()[0].name, "a");
  EXPECT_EQ(file->tensors()[1].name, "b");
  EXPECT_EQ(file->metadata().at("x"), "y\"z");
  const TensorEntry* c = file->Find("c");
  ASSERT_NE(c, nullptr);
  EXPECT_THAT(c->shape, ElementsAre(2, 1));
  std::string bytes(8, '\0');
  const auto out = absl::MakeSpan(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
  EXPECT_THAT(file->Read(*c, out), IsOk());
  EXPECT_EQ(bytes, "ccccdddd");
  EXPECT_THAT(file->ReadPart(*c, 3, out.first(4)), IsOk());
  EXPECT_EQ(bytes, "cddddddd");
  EXPECT_EQ(file->Find("d"), nullptr);
}

TEST(SafetensorsTest, EveryTypeOfTheTableIsReadByItsName) {
  for (const auto& [name, size] : std::vector<std::pair<std::string, int64_t>>{{"F32", 4},
                                                                               {"F16", 2},
                                                                               {"BF16", 2},
                                                                               {"I8", 1},
                                                                               {"I32", 4},
                                                                               {"I64", 8},
                                                                               {"U8", 1},
                                                                               {"BOOL", 1}}) {
    const int64_t bytes = 6 * size;
    const auto header =
        Parse(FileOf(absl::StrCat(R"({"a":{"dtype":")", name,
                                  R"(","shape":[2,3],"data_offsets":[0,)", bytes, "]}}"),
                     static_cast<size_t>(bytes)));
    ASSERT_THAT(header, IsOk()) << name;
    EXPECT_EQ(DataTypeName(header->tensors[0].type), name);
    EXPECT_EQ(header->tensors[0].size_bytes(), bytes);
  }
}

// The layout of the reference implementation: element size first, then name, header padded to 8
// bytes.
TEST(SafetensorsTest, BytesOnDiskAreGolden) {
  const TestDirectory directory;
  WriteSmall(directory.File("m"));
  const auto header_with = [](const std::string& checksums) {
    const std::string header =
        R"({"__metadata__":{"format":"pt","wattle.crc32c":")" + checksums +
        R"(","x":"y\"z"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
        R"("c":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},)"
        R"("b":{"dtype":"I8","shape":[3],"data_offsets":[12,15]}})";
    return header + std::string((8 - header.size() % 8) % 8, ' ');
  };
  const std::string checksums =
      absl::StrFormat("%08x%08x%08x%08x", Crc32c(header_with(std::string(32, '0'))), Crc32c("aaaa"),
                      Crc32c("xyz"), Crc32c("ccccdddd"));
  EXPECT_EQ(directory.Read("m"), FileOf(header_with(checksums), 0) + "aaaaccccddddxyz");
}

std::vector<std::byte> ReadAll(const SafetensorsFile& file, absl::Status& status) {
  std::vector<std::byte> all;
  for (const TensorEntry& tensor : file.tensors()) {
    std::vector<std::byte> bytes(static_cast<size_t>(tensor.size_bytes()));
    status.Update(file.Read(tensor, absl::MakeSpan(bytes)));
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

// Trial: a byte flipped in a checkpoint gave other weights, and the job succeeded.
TEST(SafetensorsTest, EveryChangedByteIsFound) {
  const TestDirectory directory;
  const std::string path = WriteSmall(directory.File("m"));
  const std::string whole = directory.Read("m");
  absl::Status status;
  {
    const auto file = SafetensorsFile::Open(path);
    ASSERT_THAT(file, IsOk());
    EXPECT_TRUE(file->has_checksums());
    EXPECT_EQ(ReadAll(*file, status).size(), 15U);
    ASSERT_THAT(status, IsOk());
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int bit : {0, 3, 7}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      directory.Write("m", damaged);
      const auto file = SafetensorsFile::Open(path);
      status = file.status();
      if (file.ok()) {
        ReadAll(*file, status);
      }
      // A file whose checksum entry was renamed counts as one without checksums.
      EXPECT_TRUE(!status.ok() || !file->has_checksums()) << "byte " << at << " bit " << bit;
    }
  }
}

TEST(SafetensorsTest, AFileWithoutChecksumsIsRead) {
  const TestDirectory directory;
  const std::string path =
      directory.Write("m", FileOf(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", 3));
  const auto file = SafetensorsFile::Open(path);
  ASSERT_THAT(file, IsOk());
  EXPECT_FALSE(file->has_checksums());
  absl::Status status;
  EXPECT_EQ(ReadAll(*file, status).size(), 3U);
  EXPECT_THAT(status, IsOk());
}

// The disk's error, not a signal that ends the process.
TEST(SafetensorsTest, AFileThatIsCutShortWhileItIsOpenIsAnError) {
  const TestDirectory directory;
  const std::string path = WriteSmall(directory.File("m"));
  const auto file = SafetensorsFile::Open(path);
  ASSERT_THAT(file, IsOk());
  ASSERT_EQ(truncate(path.c_str(), 20), 0);
  std::vector<std::byte> bytes(8);
  EXPECT_THAT(file->Read(*file->Find("c"), absl::MakeSpan(bytes)),
              StatusIs(absl::StatusCode::kDataLoss, testing::HasSubstr("truncated")));
}

TEST(SafetensorsTest, WriterRefusesMisuse) {
  const TestDirectory directory;
  const std::string path = directory.File("m");
  EXPECT_THAT(
      SafetensorsWriter::Create(path, {{.name = "a", .shape = {1}}, {.name = "a", .shape = {2}}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name used twice")));
  auto writer =
      SafetensorsWriter::Create(path, {{.name = "a", .shape = {1}}, {.name = "b", .shape = {0}}});
  ASSERT_THAT(writer, IsOk());
  EXPECT_THAT(writer->Write("z", AsBytes("aaaa")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("not declared")));
  EXPECT_THAT(writer->Write("a", AsBytes("aaaaa")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("5 bytes given, 4 declared")));
  ASSERT_THAT(writer->Write("a", AsBytes("aaaa")), IsOk());
  EXPECT_THAT(writer->Write("a", AsBytes("aaaa")),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("twice")));
  EXPECT_THAT(writer->Commit(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("tensor b: not written yet")));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SafetensorsTest, TruncatedFileSaysSoAtEveryLength) {
  const TestDirectory directory;
  const std::string whole =
      directory.Read(std::filesystem::path(WriteSmall(directory.File("m"))).filename().string());
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto file = SafetensorsFile::Open(directory.Write("cut", whole.substr(0, size)));
    ASSERT_THAT(file, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("copy or download it again")))
        << size;
  }
  EXPECT_THAT(SafetensorsFile::Open(directory.Write("cut", whole)), IsOk());
  EXPECT_THAT(
      SafetensorsFile::Open(directory.Write("cut", whole + "x")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 bytes follow the last tensor")));
}

struct BadHeader {
  const char* name;
  const char* header;
  size_t data_bytes;
  absl::StatusCode code;
  const char* message;
};

class SafetensorsHeaderTest : public testing::TestWithParam<BadHeader> {};

TEST_P(SafetensorsHeaderTest, IsRefusedWithItsReason) {
  EXPECT_THAT(Parse(FileOf(GetParam().header, GetParam().data_bytes)),
              StatusIs(GetParam().code, HasSubstr(GetParam().message)));
}

constexpr absl::StatusCode kInvalidFile = absl::StatusCode::kInvalidArgument;
INSTANTIATE_TEST_SUITE_P(
    Bad, SafetensorsHeaderTest,
    testing::Values(
        BadHeader{"NotJson", "{\"a\": ", 0, kInvalidFile, "not a safetensors file"},
        BadHeader{"List", "[1, 2]", 0, kInvalidFile, "does not begin with '{'"},
        BadHeader{
            "TwiceTheSame",
            R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
            0, kInvalidFile, "stands twice"},
        BadHeader{"MissingField", R"({"a":{"dtype":"F32","shape":[1]}})", 4, kInvalidFile,
                  "tensor a: wants exactly dtype, shape and data_offsets"},
        BadHeader{"UnknownType", R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4,
                  absl::StatusCode::kUnimplemented,
                  "data type F8_E4M3 is not supported in this version"},
        BadHeader{"SizeDisagrees", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                  kInvalidFile, "its 4 bytes are not F32 of shape [2]"},
        BadHeader{"NegativeDimension", R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})",
                  1, kInvalidFile, "not a whole number from 0 on"},
        BadHeader{"Overflow",
                  R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                  0, kInvalidFile, "its 0 bytes are not F32"},
        BadHeader{"OffsetsFall", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}})", 2,
                  kInvalidFile, "not two ascending whole numbers"},
        BadHeader{
            "HugeOffset",
            R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}})",
            2, kInvalidFile, "not two ascending whole numbers"},
        BadHeader{
            "Overlap",
            R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
            3, kInvalidFile, "tensor b: begins at 1, but the tensors before it end at 2"},
        BadHeader{
            "Hole",
            R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
            3, kInvalidFile, "tensor b: begins at 2, but the tensors before it end at 1"},
        BadHeader{"MetadataNotText", R"({"__metadata__":{"a":1}})", 0, kInvalidFile,
                  "__metadata__ is not text"},
        BadHeader{"OutsideTheFile", R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", 8,
                  absl::StatusCode::kDataLoss, "truncated"}),
    [](const auto& row) { return row.param.name; });

TEST(SafetensorsTest, HeaderLengthOfAnotherFormatIsRefused) {
  EXPECT_THAT(Parse("PK\x03\x04 and so on, a zip file"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("save_pretrained")));
}

TEST(SafetensorsTest, ReadsAModelWrittenByTheReferenceImplementation) {
  const std::string path = TextPath("models/gpt2-30m/model.safetensors");
  if (path.empty()) {
    GTEST_SKIP() << "WATTLE_TEXTS names no folder with models/";
  }
  const auto file = SafetensorsFile::Open(path);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->metadata().at("format"), "pt");
  const TensorEntry* tensor = file->Find("h.0.attn.c_attn.weight");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->type, DataType::kF16);
  EXPECT_THAT(tensor->shape, ElementsAre(384, 1152));
}

}  // namespace
}  // namespace wattle::formats
