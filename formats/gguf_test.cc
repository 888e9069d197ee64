// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The GGUF container against files of the gguf package (tests/golden/gguf): every type of value and
// of tensor, and one test for each kind of damage.
#include "formats/gguf.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/safetensors.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string GgufGoldenFile(const std::string& name) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/gguf/", name);
}

absl::Span<const std::byte> BytesOf(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::vector<float> FloatsOf(const SafetensorsFile& file, const std::string& name) {
  const TensorEntry* entry = file.Find(name);
  EXPECT_NE(entry, nullptr) << name;
  std::vector<float> values(static_cast<size_t>(entry->element_count()));
  EXPECT_THAT(file.Read(*entry, absl::MakeSpan(reinterpret_cast<std::byte*>(values.data()),
                                               values.size() * sizeof(float))),
              IsOk());
  return values;
}

// Equal bits, so that signs of zeros count.
bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> ValuesOf(const GgufFile& file, const GgufTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.element_count()));
  EXPECT_THAT(file.ReadRows(tensor, 0, tensor.row_count(), absl::MakeSpan(values)), IsOk());
  return values;
}

TEST(GgufTest, ValuesOfEveryTypeAreThoseOfTheReference) {
  const auto file = GgufFile::Open(GgufGoldenFile("types.gguf"));
  ASSERT_THAT(file, IsOk());
  const auto value = [&](const std::string& key) {
    const GgufValue* found = file->header().FindValue("test." + key);
    EXPECT_NE(found, nullptr) << key;
    return found == nullptr ? GgufValue() : *found;
  };
  const std::map<std::string, int64_t> wholes = {
      {"uint8", 200},        {"int8", -100},          {"uint16", 60000},
      {"int16", -30000},     {"uint32", 4000000000},  {"int32", -2000000000},
      {"uint64", 1LL << 40}, {"int64", -(1LL << 40)},
  };
  for (const auto& [key, wanted] : wholes) {
    EXPECT_EQ(value(key), GgufValue(wanted)) << key;
  }
  EXPECT_EQ(value("float32"), GgufValue(double{0.1F}));
  EXPECT_EQ(value("float64"), GgufValue(0.1));
  EXPECT_EQ(value("bool"), GgufValue(true));
  EXPECT_EQ(value("string"), GgufValue(std::string("東 mast")));
  EXPECT_EQ(value("texts"), GgufValue(std::vector<std::string>{"a", "", "é"}));
  EXPECT_EQ(value("wholes"), GgufValue(std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(value("numbers"), GgufValue(std::vector<double>{0.5, -1.25}));
  EXPECT_EQ(value("flags"), GgufValue(std::vector<int64_t>{1, 0}));
  EXPECT_EQ(file->header().FindValue("test.absent"), nullptr);
}

TEST(GgufTest, TensorsOfEveryTypeAreThoseOfTheReferenceBitForBit) {
  const auto file = GgufFile::Open(GgufGoldenFile("types.gguf"));
  const auto wanted = SafetensorsFile::Open(GgufGoldenFile("types.safetensors"));
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(wanted, IsOk());
  for (const char* name : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q6_K", "halves"}) {
    const GgufTensor* tensor = file->header().Find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->shape, wanted->Find(name)->shape) << name;
    const std::vector<float> values = FloatsOf(*wanted, name);
    EXPECT_TRUE(SameBits(ValuesOf(*file, *tensor), values)) << name;
    // Only the last row.
    std::vector<float> row(static_cast<size_t>(tensor->shape.back()));
    EXPECT_THAT(file->ReadRows(*tensor, tensor->row_count() - 1, 1, absl::MakeSpan(row)), IsOk());
    EXPECT_TRUE(SameBits(row, {values.end() - static_cast<int64_t>(row.size()), values.end()}));
  }
}

TEST(GgufTest, UnpackedBlocksAreTheReferencesValuesBitForBit) {
  const auto file = GgufFile::Open(GgufGoldenFile("types.gguf"));
  const auto wanted = SafetensorsFile::Open(GgufGoldenFile("types.safetensors"));
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(wanted, IsOk());
  for (const auto& [type, zero, group] :
       {std::tuple{GgufType::kQ8_0, 0, 32}, {GgufType::kQ4_0, 8, 32}, {GgufType::kQ6K, 32, 16}}) {
    const std::string name(TraitsOf(type).name);
    const GgufTensor& tensor = *file->header().Find(name);
    const auto columns = static_cast<size_t>(tensor.shape.back());
    const bool q6 = type == GgufType::kQ6K;
    std::vector<std::byte> bytes(static_cast<size_t>(tensor.row_bytes()));
    std::vector<int8_t> codes(columns);
    std::vector<float> scales(columns / static_cast<size_t>(group));
    std::vector<float> block_scales(q6 ? columns / 256 : 0);
    std::vector<float> values;
    for (int64_t row = 0; row < tensor.row_count(); ++row) {
      ASSERT_THAT(file->ReadRowBytes(tensor, row, absl::MakeSpan(bytes)), IsOk());
      UnpackGguf(type, bytes,
                 {.codes = absl::MakeSpan(codes),
                  .scales = absl::MakeSpan(scales),
                  .block_scales = absl::MakeSpan(block_scales)});
      for (size_t i = 0; i < columns; ++i) {
        const float of_block = q6 ? block_scales[i / 256] : 1.0F;
        values.push_back(of_block * scales[i / static_cast<size_t>(group)] *
                         static_cast<float>(codes[i] - zero));
      }
    }
    EXPECT_EQ(values, FloatsOf(*wanted, name)) << name;
  }
}

TEST(GgufTest, WrittenBlocksAreThoseOfTheReferenceBitForBit) {
  const auto file = GgufFile::Open(GgufGoldenFile("types.gguf"));
  const auto wanted = SafetensorsFile::Open(GgufGoldenFile("types.safetensors"));
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(wanted, IsOk());
  for (const GgufType type : {GgufType::kF32, GgufType::kF16, GgufType::kQ8_0, GgufType::kQ4_0}) {
    const std::string name(TraitsOf(type).name);
    const GgufTensor& tensor = *file->header().Find(name);
    const std::vector<float> source = FloatsOf(*wanted, "source:" + name);
    std::vector<std::byte> written(static_cast<size_t>(tensor.size_bytes()));
    QuantizeGguf(type, source, absl::MakeSpan(written));
    const auto all = ReadWholeFile(GgufGoldenFile("types.gguf"));
    ASSERT_THAT(all, IsOk());
    const auto start = static_cast<size_t>(file->header().data_start_bytes + tensor.offset_bytes);
    EXPECT_EQ(std::memcmp(written.data(), all->data() + start, written.size()), 0) << name;
  }
}

TEST(GgufTest, WhatIsWrittenIsReadBack) {
  TestDirectory directory;
  const GgufMetadata metadata = {{"general.architecture", std::string("test")},
                                 {"a.flag", true},
                                 {"a.whole", int64_t{4000000000}},
                                 {"a.number", double{0.5F}},
                                 {"a.wholes", std::vector<int64_t>{1, -2}},
                                 {"a.numbers", std::vector<double>{0.25}},
                                 {"a.texts", std::vector<std::string>{"x", ""}}};
  const std::string path = directory.File("written.gguf");
  auto writer = GgufWriter::Create(
      path, metadata,
      {{.name = "b", .shape = {3}}, {.name = "a", .type = GgufType::kQ8_0, .shape = {2, 32}}});
  ASSERT_THAT(writer, IsOk());
  std::vector<float> codes(64);
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = 0.5F * static_cast<float>(static_cast<int>(i * 37 % 255) - 127);
  }
  codes[5] = codes[40] = 63.5F;  // each block has the scale 0.5
  EXPECT_THAT(writer->Write("a", codes), IsOk());
  EXPECT_THAT(writer->Commit(), StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
  EXPECT_THAT(writer->Write("c", codes), StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(writer->Write("a", codes), StatusIs(absl::StatusCode::kAlreadyExists, testing::_));
  EXPECT_THAT(writer->Write("b", codes), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_THAT(writer->Write("b", {1.0F, -0.0F, 1e-40F}), IsOk());
  ASSERT_THAT(writer->Commit(), IsOk());
  const auto file = GgufFile::Open(path);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->header().metadata, metadata);
  EXPECT_TRUE(SameBits(ValuesOf(*file, *file->header().Find("a")), codes));
  EXPECT_TRUE(SameBits(ValuesOf(*file, *file->header().Find("b")), {1.0F, -0.0F, 1e-40F}));
  EXPECT_EQ(file->size_bytes() % 32, 0);
}

TEST(GgufTest, WhatCannotBeWrittenIsRefused) {
  TestDirectory directory;
  const std::string path = directory.File("refused.gguf");
  EXPECT_THAT(
      GgufWriter::Create(path, {}, {{.name = "a", .shape = {1}}, {.name = "a", .shape = {1}}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tensor a: declared twice")));
  EXPECT_THAT(GgufWriter::Create(path, {}, {{.name = "a", .type = GgufType::kQ8_0, .shape = {33}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no blocks of 32 (Q8_0)")));
  EXPECT_THAT(GgufWriter::Create(path, {{"k", int64_t{-1}}}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("k: a number does not fit")));
}

// A file by hand, so that each part can be damaged.
class GgufBytes {
 public:
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t tensors = 0;
  uint64_t values = 0;
  std::string header;
  std::string data = std::string(128, 'x');

  template <typename T>
  GgufBytes& Number(T value) {
    header.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  GgufBytes& Text(const std::string& text, uint64_t more = 0) {
    Number(uint64_t{text.size() + more});
    header += text;
    return *this;
  }
  GgufBytes& Value(const std::string& key, uint32_t type) {
    ++values;
    return Text(key).Number(type);
  }
  GgufBytes& Tensor(const std::string& name, const std::vector<uint64_t>& shape, uint32_t type,
                    uint64_t offset) {
    ++tensors;
    Text(name).Number(static_cast<uint32_t>(shape.size()));
    for (const uint64_t size : shape) {
      Number(size);
    }
    return Number(type).Number(offset);
  }
  [[nodiscard]] std::string Bytes() const {
    GgufBytes start;
    start.Number(version).Number(tensors).Number(values);
    std::string bytes = magic + start.header + header;
    bytes.resize((bytes.size() + 31) / 32 * 32);
    return bytes + data;
  }
};

absl::Status StatusOf(const std::string& bytes) {
  return ParseGgufHeader("m.gguf", BytesOf(bytes), static_cast<int64_t>(bytes.size())).status();
}

struct Damage {
  const char* name;
  std::function<void(GgufBytes&)> make;
  absl::StatusCode code;
  const char* message;
};

std::ostream& operator<<(std::ostream& out, const Damage& damage) {
  return out << damage.name;
}

class GgufDamageTest : public testing::TestWithParam<Damage> {};

TEST_P(GgufDamageTest, IsOneLineThatNamesFileAndField) {
  GgufBytes file;
  GetParam().make(file);
  const absl::Status status = StatusOf(file.Bytes());
  EXPECT_THAT(status, StatusIs(GetParam().code, HasSubstr(GetParam().message)));
  EXPECT_EQ(status.message().find("m.gguf: "), 0U) << status;
}

constexpr auto kInvalidGguf = absl::StatusCode::kInvalidArgument;
constexpr auto kLost = absl::StatusCode::kDataLoss;
constexpr auto kUnreadGguf = absl::StatusCode::kUnimplemented;

INSTANTIATE_TEST_SUITE_P(
    Damages, GgufDamageTest,
    testing::Values(
        Damage{"Magic", [](GgufBytes& f) { f.magic = "GGML"; }, kInvalidGguf, "not a GGUF file"},
        Damage{"Version", [](GgufBytes& f) { f.version = 1; }, kUnreadGguf, "GGUF version 1"},
        Damage{"BigEndian", [](GgufBytes& f) { f.version = 3U << 24; }, kUnreadGguf, "big-endian"},
        Damage{"ValuesMissing", [](GgufBytes& f) { f.values = 1000; }, kInvalidGguf,
               "metadata value 0: a key of 0 bytes"},
        Damage{"TensorsMissing",
               [](GgufBytes& f) {
                 f.tensors = 1;
                 f.data = "";
               },
               kInvalidGguf, "tensor 0: has no name"},
        Damage{"KeyTooLong",
               [](GgufBytes& f) {
                 f.values = 1;
                 f.Text("k", uint64_t{1} << 62);
               },
               kLost, "metadata value 0: its 4611686018427387905 bytes"},
        Damage{"KeyEmpty", [](GgufBytes& f) { f.Value("", 0); }, kInvalidGguf, "a key of 0 bytes"},
        Damage{"KeyTwice",
               [](GgufBytes& f) {
                 f.Value("k", 0).Number(uint8_t{1});
                 f.Value("k", 0).Number(uint8_t{1});
               },
               kInvalidGguf, "k: stands twice"},
        Damage{"ValueType", [](GgufBytes& f) { f.Value("k", 13); }, kInvalidGguf,
               "k: a value of type 13"},
        Damage{"Flag", [](GgufBytes& f) { f.Value("k", 7).Number(uint8_t{2}); }, kInvalidGguf,
               "k: a flag has the value 2"},
        Damage{"WholeTooLarge", [](GgufBytes& f) { f.Value("k", 10).Number(~uint64_t{0}); },
               kInvalidGguf, "k: the number 18446744073709551615 is too large"},
        Damage{"TextPastTheEnd",
               [](GgufBytes& f) { f.Value("tokenizer.ggml.model", 8).Text("gpt2", 1 << 20); },
               kLost, "tokenizer.ggml.model: its 1048580 bytes"},
        Damage{"ArrayPastTheEnd",
               [](GgufBytes& f) { f.Value("k", 9).Number(uint32_t{4}).Number(uint64_t{1} << 60); },
               kLost, "k: its 4 bytes"},
        Damage{"ArrayOfArrays",
               [](GgufBytes& f) { f.Value("k", 9).Number(uint32_t{9}).Number(uint64_t{1}); },
               kInvalidGguf, "k: an array of elements of type 9"},
        Damage{"NoDimensions", [](GgufBytes& f) { f.Tensor("t", {}, 0, 0); }, kInvalidGguf,
               "tensor t: has 0 dimensions"},
        Damage{"FiveDimensions",
               [](GgufBytes& f) {
                 f.Tensor("t", {1, 1, 1, 1, 1}, 0, 0);
               },
               kInvalidGguf, "tensor t: has 5 dimensions"},
        Damage{"ZeroDimension", [](GgufBytes& f) { f.Tensor("t", {0}, 0, 0); }, kInvalidGguf,
               "tensor t: its dimension 0 of 0"},
        Damage{"DimensionOverflow",
               [](GgufBytes& f) {
                 f.Tensor("t", {uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0);
               },
               kInvalidGguf, "tensor t: its dimension 1 of 1099511627776"},
        Damage{"UnknownType", [](GgufBytes& f) { f.Tensor("t", {1}, 77, 0); }, kInvalidGguf,
               "tensor t: has the unknown type 77"},
        Damage{"UnreadType", [](GgufBytes& f) { f.Tensor("t", {256}, 12, 0); }, kUnreadGguf,
               "tensor t: type Q4_K is not supported"},
        Damage{"NoWholeBlocks",
               [](GgufBytes& f) {
                 f.Tensor("t", {33, 2}, 8, 0);
               },
               kInvalidGguf, "tensor t: rows of 33 values are no blocks of 32 (Q8_0)"},
        Damage{"OffsetLeavesTheFile",
               [](GgufBytes& f) { f.Tensor("t", {1}, 0, uint64_t{1} << 40); }, kLost,
               "tensor t: its offset of 1099511627776 bytes leaves the file"},
        Damage{"TensorLeavesTheFile", [](GgufBytes& f) { f.Tensor("t", {33}, 0, 0); }, kLost,
               "tensor t: its 132 bytes from offset 0 on leave the file"},
        Damage{"Unaligned", [](GgufBytes& f) { f.Tensor("t", {1}, 0, 4); }, kInvalidGguf,
               "tensor t: its offset 4 is no multiple of 32"},
        Damage{"Overlap", [](GgufBytes& f) { f.Tensor("t", {16}, 0, 0).Tensor("u", {8}, 0, 32); },
               kInvalidGguf, "tensor u: begins at 32, but the tensors before it end at 64"},
        Damage{"TwoNames", [](GgufBytes& f) { f.Tensor("t", {8}, 0, 0).Tensor("t", {8}, 0, 32); },
               kInvalidGguf, "tensor t: is there twice"},
        Damage{"Alignment",
               [](GgufBytes& f) { f.Value("general.alignment", 4).Number(uint32_t{24}); },
               kInvalidGguf, "general.alignment: wants a power of two"}),
    [](const auto& row) { return row.param.name; });

TEST(GgufTest, TheUndamagedFileByHandIsRead) {
  GgufBytes file;
  file.Value("general.alignment", 4).Number(uint32_t{64});
  file.Tensor("t", {4, 2}, 0, 64).Tensor("u", {8}, 0, 0);
  file.data += std::string(32, 'x');
  const std::string bytes = file.Bytes();
  const auto header = ParseGgufHeader("m.gguf", BytesOf(bytes), static_cast<int64_t>(bytes.size()));
  ASSERT_THAT(header, IsOk());
  EXPECT_THAT(header->Find("t")->shape, ElementsAre(2, 4));
  EXPECT_EQ(header->data_start_bytes % 64, 0);
}

TEST(GgufTest, EveryCutIsRefused) {
  const auto bytes = ReadWholeFile(GgufGoldenFile("types.gguf"));
  ASSERT_THAT(bytes, IsOk());
  // The last tensor ends 22 bytes before the file does.
  for (size_t size = 0; size + 32 < bytes->size(); size += size < 2000 ? 1 : 101) {
    EXPECT_THAT(StatusOf(bytes->substr(0, size)), StatusIs(kLost, testing::_)) << size;
  }
}

TEST(GgufTest, AHeaderLongerThanWhatWasReadIsToldApart) {
  const auto bytes = ReadWholeFile(GgufGoldenFile("types.gguf"));
  ASSERT_THAT(bytes, IsOk());
  EXPECT_THAT(ParseGgufHeader("m", BytesOf(*bytes).first(100), static_cast<int64_t>(bytes->size())),
              StatusIs(absl::StatusCode::kOutOfRange, testing::_));
}

TEST(GgufTest, MissingFilesAreErrors) {
  EXPECT_THAT(GgufFile::Open("/no/such.gguf"), StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(GgufFile::Open("/tmp"), StatusIs(kInvalidGguf, HasSubstr("path of a .gguf file")));
}

}  // namespace
}  // namespace wattle::formats
