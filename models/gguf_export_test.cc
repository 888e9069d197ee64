// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models written as GGUF files against the files that the gguf package wrote of the same models
// (tests/golden/gguf): the metadata, every tensor, a whole directory, and each thing that is
// refused.
#include <cmath>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/byte_pair_encoding.h"
#include "formats/gguf.h"
#include "formats/safetensors_set.h"
#include "models/family.h"
#include "models/gguf_directory.h"
#include "models/gguf_weights.h"

namespace wattle::models {
namespace {

using formats::DataType;
using formats::GgufFile;
using formats::GgufTensor;
using formats::GgufType;
using formats::TensorEntry;
using testing::HasSubstr;

std::string ExportedGoldenPath(const std::string& name) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/", name);
}

std::string DirectoryOf(const std::string& family) {
  return ExportedGoldenPath(
      absl::StrCat("engine/", family == "llama_tiny" ? "" : "families/", family));
}

DecoderConfig ConfigOfFamily(const std::string& family) {
  const auto config = ReadDecoderConfig(absl::StrCat(DirectoryOf(family), "/config.json"));
  EXPECT_THAT(config, IsOk());
  return *config;
}

// The part of it that GGUF metadata can represent.
DecoderConfig WritableConfig(const std::string& family) {
  DecoderConfig config = ConfigOfFamily(family);
  for (LayerDescription& layer : config.layers) {
    if (family == "gemma2") {
      layer.query_pre_attention_scalar = static_cast<double>(layer.head_size);
    } else {
      layer.window = 0;
    }
  }
  return config;
}

std::vector<float> ValuesOf(const GgufFile& file, const GgufTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.element_count()));
  EXPECT_THAT(file.ReadRows(tensor, 0, tensor.row_count(), absl::MakeSpan(values)), IsOk());
  return values;
}

// Another source with one value changed, or with every value truncated to BF16.
class ChangedSource final : public formats::TensorSource {
 public:
  ChangedSource(const formats::TensorSource& original, std::string changed, float value)
      : original_(original),
        tensors_(original.tensors()),
        changed_(std::move(changed)),
        value_(value) {}
  explicit ChangedSource(const formats::TensorSource& original)
      : original_(original), tensors_(original.tensors()) {
    for (TensorEntry& tensor : tensors_) {
      tensor.type = DataType::kBF16;
    }
  }

  const std::string& path() const override { return original_.path(); }
  std::vector<std::string> FileNames() const override { return original_.FileNames(); }
  const std::vector<TensorEntry>& tensors() const override { return tensors_; }
  const formats::SafetensorsMetadata& metadata() const override { return original_.metadata(); }
  absl::Status Read(const TensorEntry& tensor, absl::Span<std::byte> out) const override {
    const TensorEntry* original = original_.Find(tensor.name);
    std::vector<std::byte> bytes(static_cast<size_t>(original->size_bytes()));
    const absl::Status status = original_.Read(*original, absl::MakeSpan(bytes));
    if (tensor.name == changed_) {
      std::memcpy(bytes.data(), &value_, sizeof(value_));
    }
    const size_t kept = tensor.type == DataType::kBF16 ? 2 : 4;  // of each value, its upper bytes
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = bytes[i / kept * sizeof(float) + (sizeof(float) - kept) + i % kept];
    }
    return status;
  }
  absl::Status ReadPart(const TensorEntry&, int64_t, absl::Span<std::byte>) const override {
    return absl::UnimplementedError("not used");
  }

 private:
  const formats::TensorSource& original_;
  std::vector<TensorEntry> tensors_;
  std::string changed_;
  float value_ = 0.0F;
};

class GgufExportTest : public testing::Test {
 protected:
  absl::Status Write(const DecoderConfig& config, const formats::TensorSource& weights,
                     GgufType type = GgufType::kF32) {
    auto fields = GgufFieldsOf(config, "m");
    if (!fields.ok()) {
      return fields.status();
    }
    fields->metadata["tokenizer.ggml.model"] = std::string("none");
    ModelDirectory model;
    model.config = config;
    model.tensor_prefix = FamilyOf(config).file_prefix;
    return WriteGguf(model, weights, *std::move(fields), path_, type);
  }
  // The file that Write or ExportGguf wrote.
  GgufFile Written() const {
    auto file = GgufFile::Open(path_);
    EXPECT_THAT(file, IsOk());
    return *std::move(file);
  }
  // A copy of a directory with one text of config.json replaced.
  std::string Changed(const std::string& family, const std::string& from, const std::string& to) {
    std::string copy = directory_.File("changed");
    std::filesystem::remove_all(copy);
    std::filesystem::copy(DirectoryOf(family), copy);
    const auto text = ReadWholeFile(copy + "/config.json", 1 << 20);
    EXPECT_THAT(text, IsOk());
    const std::string changed = absl::StrReplaceAll(*text, {{from, to}});
    EXPECT_NE(changed, *text) << from;
    directory_.Write("changed/config.json", changed);
    return copy;
  }

  TestDirectory directory_;
  std::string path_ = directory_.File("written.gguf");
};

// The tensors equal those of the reference's file, and the metadata has at least the reference's
// entries.
void ExpectSame(const GgufFile& written, const GgufFile& wanted) {
  ASSERT_EQ(written.header().tensors.size(), wanted.header().tensors.size());
  for (const GgufTensor& tensor : wanted.header().tensors) {
    const GgufTensor* found = written.header().Find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(found->type, GgufType::kF32) << tensor.name;
    EXPECT_EQ(ValuesOf(written, *found), ValuesOf(wanted, tensor)) << tensor.name;
  }
  for (const auto& [key, value] : wanted.header().metadata) {
    const formats::GgufValue* found = written.header().FindValue(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_TRUE(*found == value) << key;
  }
}

class GgufFamilyExportTest : public GgufExportTest,
                             public testing::WithParamInterface<const char*> {};

TEST_P(GgufFamilyExportTest, TheFileIsThatOfTheReference) {
  const DecoderConfig config = WritableConfig(GetParam());
  const auto weights = formats::SafetensorsSet::OpenDirectory(DirectoryOf(GetParam()));
  ASSERT_THAT(weights, IsOk());
  ASSERT_THAT(Write(config, *weights), IsOk());
  const auto wanted =
      GgufFile::Open(ExportedGoldenPath(absl::StrCat("gguf/", GetParam(), ".gguf")));
  ASSERT_THAT(wanted, IsOk());
  ExpectSame(Written(), *wanted);
  const auto read = DecoderConfigOfGguf(Written());
  ASSERT_THAT(read, IsOk());
  DecoderConfig again = config;
  again.family = config.family == "mistral" ? "llama" : config.family;
  again.more_eos_token_ids.resize(1);
  EXPECT_EQ(*read, again) << FormatDecoderConfig(*read) << FormatDecoderConfig(again);
}

INSTANTIATE_TEST_SUITE_P(Families, GgufFamilyExportTest,
                         testing::Values("llama3", "smollm2", "mistral", "qwen2", "phi", "gpt_neox",
                                         "stablelm", "gemma", "gemma2"),
                         [](const auto& row) { return row.param; });

TEST_F(GgufExportTest, AFileThatIsReadIsWrittenTheSame) {
  for (const char* name : {"gpt2", "llama3", "gpt_neox", "gemma", "llama_tiny"}) {
    const std::string golden = ExportedGoldenPath(absl::StrCat("gguf/", name, ".gguf"));
    const auto wanted = GgufFile::Open(golden);
    ASSERT_THAT(wanted, IsOk());
    const auto config = DecoderConfigOfGguf(*wanted);
    ASSERT_THAT(config, IsOk());
    const auto weights = GgufWeights::Open(golden, *config);
    ASSERT_THAT(weights, IsOk());
    ASSERT_THAT(Write(*config, *weights), IsOk()) << name;
    for (const GgufTensor& tensor : wanted->header().tensors) {
      const GgufFile written = Written();
      ASSERT_NE(written.header().Find(tensor.name), nullptr) << tensor.name;
      EXPECT_EQ(ValuesOf(written, *written.header().Find(tensor.name)), ValuesOf(*wanted, tensor))
          << name << ": " << tensor.name;
    }
  }
}

TEST_F(GgufExportTest, ADirectoryComesBackWithItsTokenizer) {
  const std::string original = DirectoryOf("llama_tiny");
  ASSERT_THAT(ExportGguf(original, path_, GgufType::kF32), IsOk());
  const auto wanted = GgufFile::Open(ExportedGoldenPath("gguf/llama_tiny.gguf"));
  ASSERT_THAT(wanted, IsOk());
  const GgufFile written = Written();
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.scores",
                          "tokenizer.ggml.token_type", "tokenizer.ggml.model", "tokenizer.ggml.pre",
                          "tokenizer.ggml.add_bos_token", "tokenizer.ggml.unknown_token_id"}) {
    ASSERT_NE(written.header().FindValue(key), nullptr) << key;
    EXPECT_TRUE(*written.header().FindValue(key) == *wanted->header().FindValue(key)) << key;
  }
  const std::string imported = directory_.File("imported");
  std::filesystem::create_directories(imported);
  ASSERT_THAT(ImportGguf(path_, imported), IsOk());
  const auto model = InspectModelDirectory(imported);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->config, ConfigOfFamily("llama_tiny"));
  const auto tokenizer = formats::BytePairEncoding::LoadDirectory(imported);
  const auto tokens = formats::BytePairEncoding::LoadDirectory(original);
  ASSERT_THAT(tokenizer, IsOk());
  ASSERT_THAT(tokens, IsOk());
  for (const char* text : {"the sun boards watts", " a  mast\n\n東", "", "the"}) {
    EXPECT_EQ(tokenizer->EncodeDocument(text), tokens->EncodeDocument(text)) << text;
  }
}

TEST_F(GgufExportTest, TheTypeIsThatOfTheMatricesWithWholeBlocks) {
  const auto weights = formats::SafetensorsSet::OpenDirectory(DirectoryOf("stablelm"));
  ASSERT_THAT(weights, IsOk());
  const auto wanted = GgufFile::Open(ExportedGoldenPath("gguf/stablelm.gguf"));
  ASSERT_THAT(wanted, IsOk());
  for (const GgufType type : {GgufType::kF16, GgufType::kQ8_0, GgufType::kQ4_0}) {
    ASSERT_THAT(Write(ConfigOfFamily("stablelm"), *weights, type), IsOk());
    const GgufFile written = Written();
    for (const GgufTensor& tensor : written.header().tensors) {
      // The rows of ffn_down have 20 weights, a block of Q8_0 or Q4_0 has 32.
      const bool whole = type == GgufType::kF16 || tensor.shape.back() == 32;
      EXPECT_EQ(tensor.type, tensor.shape.size() > 1 && whole ? type : GgufType::kF32)
          << tensor.name;
      std::vector<float> values = ValuesOf(*wanted, *wanted->header().Find(tensor.name));
      std::vector<std::byte> bytes(static_cast<size_t>(tensor.size_bytes()));
      formats::QuantizeGguf(tensor.type, values, absl::MakeSpan(bytes));
      formats::DequantizeGguf(tensor.type, bytes, absl::MakeSpan(values));
      EXPECT_EQ(ValuesOf(written, tensor), values) << tensor.name;
    }
    EXPECT_EQ(std::get<int64_t>(*written.header().FindValue("general.file_type")),
              type == GgufType::kF16    ? 1
              : type == GgufType::kQ4_0 ? 2
                                        : 7);
  }
}

// Inference reads the same values from a matrix in blocks, in the rows of the Hugging Face file.
TEST_F(GgufExportTest, CodesAndScalesAreTheValues) {
  const DecoderConfig config = ConfigOfFamily("stablelm");
  const auto weights = formats::SafetensorsSet::OpenDirectory(DirectoryOf("stablelm"));
  ASSERT_THAT(weights, IsOk());
  for (const GgufType type : {GgufType::kQ8_0, GgufType::kQ4_0}) {
    ASSERT_THAT(Write(config, *weights, type), IsOk());
    const auto written = GgufWeights::Open(path_, config);
    ASSERT_THAT(written, IsOk());
    int coded = 0;
    for (const TensorEntry& tensor : written->tensors()) {
      const formats::NumberForm form = written->FormOf(tensor);
      if (form == formats::NumberForm::kFloat32) {
        continue;
      }
      ++coded;
      std::vector<float> values(static_cast<size_t>(tensor.element_count()));
      ASSERT_THAT(written->Read(tensor, absl::MakeSpan(reinterpret_cast<std::byte*>(values.data()),
                                                       values.size() * sizeof(float))),
                  IsOk());
      std::vector<int8_t> codes(values.size());
      std::vector<float> scales(values.size() / 32);
      ASSERT_THAT(
          written->ReadCodes(tensor, 0,
                             {.codes = absl::MakeSpan(codes), .scales = absl::MakeSpan(scales)}),
          IsOk());
      const int zero = form == formats::NumberForm::kInt4Groups ? 8 : 0;
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(scales[i / 32] * static_cast<float>(codes[i] - zero), values[i])
            << tensor.name << ", " << i;
      }
    }
    EXPECT_GT(coded, 2);
  }
}

TEST_F(GgufExportTest, WeightsOfBf16AreWrittenAsTheyAre) {
  const auto weights = formats::SafetensorsSet::OpenDirectory(DirectoryOf("smollm2"));
  ASSERT_THAT(weights, IsOk());
  ASSERT_THAT(Write(ConfigOfFamily("smollm2"), ChangedSource(*weights)), IsOk());
  const auto wanted = GgufFile::Open(ExportedGoldenPath("gguf/smollm2.gguf"));
  ASSERT_THAT(wanted, IsOk());
  const GgufFile written = Written();
  for (const GgufTensor& tensor : written.header().tensors) {
    std::vector<float> values = ValuesOf(*wanted, *wanted->header().Find(tensor.name));
    for (float& value : values) {
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof(bits));
      bits &= 0xffff0000U;
      std::memcpy(&value, &bits, sizeof(bits));
    }
    EXPECT_EQ(ValuesOf(written, tensor), values) << tensor.name;
  }
}

TEST_F(GgufExportTest, LinearScalingIsInTheMetadata) {
  DecoderConfig config = ConfigOfFamily("smollm2");
  for (LayerDescription& layer : config.layers) {
    layer.rotary->scaling = RotaryScaling{.factor = 4.0};
  }
  const auto weights = formats::SafetensorsSet::OpenDirectory(DirectoryOf("smollm2"));
  ASSERT_THAT(weights, IsOk());
  ASSERT_THAT(Write(config, *weights), IsOk());
  const auto read = DecoderConfigOfGguf(Written());
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->layers, config.layers);
}

TEST_F(GgufExportTest, ValuesThatTheTypeCannotHoldAreRefusedByTensor) {
  const auto weights = formats::SafetensorsSet::OpenDirectory(DirectoryOf("stablelm"));
  ASSERT_THAT(weights, IsOk());
  const auto write = [&](const std::string& tensor, float value, GgufType type) {
    return Write(ConfigOfFamily("stablelm"), ChangedSource(*weights, tensor, value), type);
  };
  const std::string matrix = "model.layers.0.self_attn.q_proj.weight";
  EXPECT_THAT(write(matrix, NAN, GgufType::kF32),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr(matrix + ": has values that are not finite")));
  EXPECT_THAT(
      write(matrix, -65600.0F, GgufType::kF16),
      StatusIs(absl::StatusCode::kOutOfRange,
               HasSubstr(matrix + ": has the value -65600, F16 holds at most 65504; choose type "
                                  "f32")));
  EXPECT_THAT(write(matrix, 1e7F, GgufType::kQ8_0),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("Q8_0 holds at most")));
  EXPECT_FALSE(std::filesystem::exists(path_)) << "the file is there whole or not at all";
  EXPECT_FALSE(std::filesystem::exists(path_ + ".partial"));
  EXPECT_THAT(write(matrix, -65600.0F, GgufType::kQ8_0), IsOk());
  EXPECT_THAT(write("model.norm.weight", -65600.0F, GgufType::kF16), IsOk()) << "a norm is F32";
}

TEST_F(GgufExportTest, WhatGgufCannotSayIsRefusedByField) {
  const auto expect = [&](const std::string& directory, const std::string& message) {
    const auto config = ReadDecoderConfig(directory + "/config.json");
    ASSERT_THAT(config, IsOk());
    const absl::Status status = GgufFieldsOf(*config, "m").status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(message)));
    EXPECT_EQ(status.message().find("m: "), 0U) << status;
    EXPECT_EQ(status.message().find('\n'), std::string::npos) << status;
  };
  expect(DirectoryOf("mistral"),
         "config.json: sliding_window 7: GGUF files of the architecture "
         "llama cannot hold this");
  expect(DirectoryOf("gemma2"), "config.json: query_pre_attn_scalar 3.0");
  expect(DirectoryOf("qwen2_windows"), "config.json: layer_types");
  expect(DirectoryOf("kosmos2_text"), "a model of the family kosmos_2_text_model is not written");
  expect(DirectoryOf("opt"), "a model of the family opt is not written");
  expect(DirectoryOf("llama_linear"), "config.json: head_dim 6 with biases");
  expect(DirectoryOf("gpt_neox_sequential"), "config.json: attention_bias false");
  expect(Changed("gemma", "\"model_type\"", "\"tie_word_embeddings\": false, \"model_type\""),
         "config.json: tie_word_embeddings false");
  expect(Changed("stablelm", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true"),
         "config.json: tie_word_embeddings true");
  expect(Changed("qwen2", "\"rope_scaling\": null",
                 R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": 16})"),
         "config.json: rope_scaling of Llama 3");
  expect(Changed("gemma", "\"hidden_activation\": null", "\"hidden_activation\": \"silu\""),
         "config.json: hidden_act");
  expect(Changed("smollm2", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\""),
         "config.json: hidden_act \"gelu\"");
}

TEST_F(GgufExportTest, ATokenizerThatContradictsTheConfigIsRefused) {
  EXPECT_THAT(ExportGguf(Changed("llama_tiny", "\"bos_token_id\": 1", "\"bos_token_id\": 5"), path_,
                         GgufType::kF32),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("the tokenizer begins a text with token 1, config.json has "
                                 "bos_token_id 5")));
}

}  // namespace
}  // namespace wattle::models
