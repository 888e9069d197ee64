// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/model_directory.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/testing/small_model_internal.h"
#include "models/gguf_directory.h"

namespace wattle::models {
namespace {

using formats::DataType;
using formats::SafetensorsMetadata;
using formats::SafetensorsWriter;
using formats::TensorDescription;
using testing::ElementsAre;
using testing::HasSubstr;

void WriteWeights(const std::string& path, const std::vector<TensorDescription>& tensors,
                  const SafetensorsMetadata& metadata = {{"format", "pt"}}) {
  auto writer = SafetensorsWriter::Create(path, tensors, metadata);
  ASSERT_THAT(writer, IsOk());
  for (const TensorDescription& tensor : tensors) {
    const std::vector<std::byte> zeros(static_cast<size_t>(tensor.size_bytes()));
    ASSERT_THAT(writer->Write(tensor.name, zeros), IsOk());
  }
  ASSERT_THAT(writer->Commit(), IsOk());
}

class ModelDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.Write("config.json", formats::kSmallConfig);
    directory_.Write("vocab.json", formats::SmallVocabulary().dump());
    directory_.Write("merges.txt", formats::kSmallMerges);
    const auto config = ParseDecoderConfig(formats::kSmallConfig, "config.json");
    ASSERT_THAT(config, IsOk());
    config_ = *config;
    tensors_ = CheckpointTensors(config_);
    WriteTensors();
  }
  void WriteTensors(const SafetensorsMetadata& metadata = {{"format", "pt"}}) const {
    WriteWeights(directory_.File("model.safetensors"), tensors_, metadata);
  }
  TensorDescription& Tensor(const std::string& name) {
    for (TensorDescription& tensor : tensors_) {
      if (tensor.name == name) {
        return tensor;
      }
    }
    ADD_FAILURE() << name;
    return tensors_[0];
  }
  void ExpectRefused(absl::StatusCode code, const std::string& message) const {
    EXPECT_THAT(InspectModelDirectory(directory_.path()), StatusIs(code, HasSubstr(message)));
  }

  TestDirectory directory_;
  DecoderConfig config_;
  std::vector<TensorDescription> tensors_;
};

TEST_F(ModelDirectoryTest, CompleteDirectoryIsDescribed) {
  const auto model = InspectModelDirectory(directory_.path());
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->config, config_);
  EXPECT_EQ(model->tensor_prefix, "");
  EXPECT_FALSE(model->is_quantized());
  EXPECT_EQ(model->quantization(), "none");
  EXPECT_TRUE(model->ignored_tensors.empty());
  EXPECT_THAT(model->files,
              ElementsAre("config.json", "merges.txt", "model.safetensors", "vocab.json"));
  EXPECT_EQ(model->shape().width(), 8);
  EXPECT_GT(model->size_bytes, model->parameter_count() * 4);
}

TEST_F(ModelDirectoryTest, WhatTransformersReadsTravelsToo) {
  directory_.Write("tokenizer_config.json", "{}");
  directory_.Write("special_tokens_map.json", "{}");
  directory_.Write("generation_config.json", "{}");
  directory_.Write("pytorch_model.bin", "the same weights again");
  const auto model = InspectModelDirectory(directory_.path());
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(model->files, ElementsAre("config.json", "generation_config.json", "merges.txt",
                                        "model.safetensors", "special_tokens_map.json",
                                        "tokenizer_config.json", "vocab.json"));
}

TEST_F(ModelDirectoryTest, PrefixedNamesAreAcceptedAndIgnoredTensorsNamed) {
  for (TensorDescription& tensor : tensors_) {
    tensor.name = "transformer." + tensor.name;
  }
  tensors_.push_back({.name = "transformer.h.0.attn.masked_bias", .shape = {}});
  tensors_.push_back({.name = "lm_head.weight", .shape = {262, 8}});
  WriteTensors();
  const auto model = InspectModelDirectory(directory_.path());
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(TensorNameInFile(*model, "wte.weight"), "transformer.wte.weight");
  EXPECT_EQ(TensorNameInFile(*model, "lm_head.weight"), "lm_head.weight");
  EXPECT_THAT(model->ignored_tensors,
              ElementsAre("lm_head.weight", "transformer.h.0.attn.masked_bias"));
}

TEST_F(ModelDirectoryTest, SavedBuffersThatContradictTheConfigAreRefused) {
  tensors_.push_back({.name = "h.0.attn.bias", .shape = {1, 1, 16, 16}});
  for (const DataType type :
       {DataType::kF32, DataType::kF16, DataType::kBF16, DataType::kU8, DataType::kBool}) {
    tensors_.back().type = type;
    WriteTensors();  // all zeros: nobody would see anything
    ExpectRefused(absl::StatusCode::kInvalidArgument,
                  "tensor h.0.attn.bias: is no causal mask at row 0, column 0");
  }
  tensors_.back().shape = {1, 1, 32, 32};
  WriteTensors();
  ExpectRefused(absl::StatusCode::kInvalidArgument, "a causal mask of 16 positions is wanted");
  tensors_.back() = {.name = "lm_head.weight", .type = DataType::kF16, .shape = {262, 8}};
  WriteTensors();
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor lm_head.weight: differs from wte.weight");
}

TEST_F(ModelDirectoryTest, HalfPrecisionIsAccepted) {
  tensors_ = CheckpointTensors(config_, DataType::kBF16);
  WriteTensors();
  EXPECT_THAT(InspectModelDirectory(directory_.path()), IsOk());
}

TEST_F(ModelDirectoryTest, MissingTensorIsNamed) {
  tensors_.erase(tensors_.begin() + 3);
  WriteTensors();
  ExpectRefused(
      absl::StatusCode::kInvalidArgument,
      "model.safetensors: tensor h.0.ln_1.bias: missing; config.json wants it with shape [8]");
}

TEST_F(ModelDirectoryTest, WrongShapeIsNamed) {
  Tensor("h.1.mlp.c_fc.weight").shape = {32, 8};
  WriteTensors();
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor h.1.mlp.c_fc.weight: has shape [32, 8], config.json wants [8, 32]");
}

TEST_F(ModelDirectoryTest, UnknownTensorsAndTypesAreNamed) {
  tensors_.push_back({.name = "score.weight", .shape = {2, 8}});
  WriteTensors();
  ExpectRefused(absl::StatusCode::kInvalidArgument, "tensor score.weight: not part of the model");
  tensors_.pop_back();
  Tensor("wpe.weight").type = DataType::kI32;
  WriteTensors();
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor wpe.weight: has type I32; wants F32, F16 or BF16");
  Tensor("wpe.weight").type = DataType::kBool;
  WriteTensors();
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor wpe.weight: has type BOOL; wants F32, F16 or BF16");
  Tensor("wpe.weight").type = DataType::kBF16;
  WriteTensors();
  EXPECT_THAT(InspectModelDirectory(directory_.path()), IsOk());
}

TEST_F(ModelDirectoryTest, TruncatedWeightsAreDataLoss) {
  const std::string path = directory_.File("model.safetensors");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  ExpectRefused(absl::StatusCode::kDataLoss, "model.safetensors: truncated");
}

TEST_F(ModelDirectoryTest, EndTokensOfGenerationConfigCount) {
  directory_.Write("generation_config.json", R"({"eos_token_id": [261, 5, 7]})");
  const auto model = InspectModelDirectory(directory_.path());
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->config.eos_token_id, config_.eos_token_id);
  EXPECT_THAT(model->config.more_eos_token_ids, ElementsAre(5, 7));
  directory_.Write("generation_config.json", R"({"eos_token_id": 5})");
  EXPECT_TRUE(InspectModelDirectory(directory_.path())->config.ends_text(5));
  directory_.Write("generation_config.json", R"({"eos_token_id": 99999})");
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "generation_config.json: eos_token_id: 99999 is outside the vocabulary");
}

// phi-1.5: config.json has null, and the default of its class is "#" in this vocabulary of GPT-2's
// kind.
class UnnamedEndTokenTest : public ModelDirectoryTest {
 protected:
  void SetUp() override {
    ModelDirectoryTest::SetUp();
    constexpr char kConfig[] = R"({"model_type": "phi", "vocab_size": 262, "hidden_size": 8,
        "num_attention_heads": 2, "num_key_value_heads": null, "num_hidden_layers": 2,
        "intermediate_size": 32, "max_position_embeddings": 16, "layer_norm_eps": 1e-05,
        "partial_rotary_factor": 0.5, "bos_token_id": null, "eos_token_id": null})";
    directory_.Write("config.json", kConfig);
    const auto config = ParseDecoderConfig(kConfig, "config.json");
    ASSERT_THAT(config, IsOk());
    tensors_ = CheckpointTensors(*config);
    WriteTensors();
  }
  void ExpectEnds(const std::vector<int64_t>& ends) const {
    const auto model = InspectModelDirectory(directory_.path());
    ASSERT_THAT(model, IsOk());
    EXPECT_EQ(model->config.eos_token_id, ends.front());
    EXPECT_EQ(model->config.more_eos_token_ids, std::vector<int64_t>(ends.begin() + 1, ends.end()));
    EXPECT_EQ(model->config.bos_token_id, ends.front());
  }
};

TEST_F(UnnamedEndTokenTest, IsTheTokenizersOwn) {
  ExpectEnds({261});  // "<|endoftext|>"
  directory_.Write("generation_config.json", R"({"_from_model_config": true})");
  directory_.Write("tokenizer_config.json", R"({"eos_token": null})");
  ExpectEnds({261});
}

TEST_F(UnnamedEndTokenTest, IsTheOneThatTheFilesBesideItName) {
  directory_.Write("tokenizer_config.json", R"({"eos_token": "the"})");
  ExpectEnds({257});
  directory_.Write("tokenizer_config.json", R"({"eos_token": {"content": "he", "special": true}})");
  ExpectEnds({260});
  directory_.Write("generation_config.json", R"({"eos_token_id": [7, 5]})");
  ExpectEnds({7, 5});
}

TEST_F(UnnamedEndTokenTest, IsRefusedWhereNoFileTells) {
  nlohmann::json tokenizer = nlohmann::json::parse(formats::SmallTokenizerJson());
  tokenizer["added_tokens"].clear();
  directory_.Write("tokenizer.json", tokenizer.dump());
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "config.json: eos_token_id: missing, and neither generation_config.json nor the "
                "tokenizer names an end token");
  directory_.Write("tokenizer_config.json", R"({"eos_token": "</s>"})");
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tokenizer_config.json: eos_token: \"</s>\" is no token of the tokenizer");
  directory_.Write("tokenizer_config.json", R"({"eos_token": 5})");
  ExpectRefused(absl::StatusCode::kInvalidArgument, "tokenizer_config.json: eos_token: wants text");
}

TEST_F(ModelDirectoryTest, MissingFilesAreNamed) {
  std::filesystem::remove(directory_.File("merges.txt"));
  ExpectRefused(
      absl::StatusCode::kNotFound,
      "no tokenizer: wants tokenizer.json, or vocab.json and merges.txt, or tokenizer.model");
  std::filesystem::remove(directory_.File("model.safetensors"));
  ExpectRefused(absl::StatusCode::kNotFound,
                "model.safetensors: no such file, nor model.safetensors.index.json; save the");
  directory_.Write("model.safetensors.index.json", "{}");
  ExpectRefused(absl::StatusCode::kInvalidArgument, "index.json: weight_map: wants an object");
  std::filesystem::remove(directory_.File("config.json"));
  ExpectRefused(absl::StatusCode::kNotFound, "config.json: no such file");
  EXPECT_THAT(InspectModelDirectory("/no/such"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such directory")));
}

TEST_F(ModelDirectoryTest, TokenizerLargerThanTheModelIsRefused) {
  nlohmann::json vocabulary = formats::SmallVocabulary();
  vocabulary["extra"] = 262;
  directory_.Write("vocab.json", vocabulary.dump());
  const std::string message = absl::StrCat(
      "with added tokens the tokenizer has 263 tokens, the model's vocabulary 262 (vocab_size of ",
      directory_.File("config.json"), "); use the tokenizer");
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                absl::StrCat(directory_.File("vocab.json"), ": ", message));
  nlohmann::json tokenizer = nlohmann::json::parse(formats::SmallTokenizerJson());
  tokenizer["model"]["vocab"] = vocabulary;
  directory_.Write("tokenizer.json", tokenizer.dump());
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                absl::StrCat(directory_.File("tokenizer.json"), ": ", message));
}

TEST_F(ModelDirectoryTest, Int8DirectoryOfAnOldVersionNeedsItsScales) {
  std::vector<TensorDescription> scales;
  for (const ModelTensor& tensor : ModelTensors(config_)) {
    if (tensor.is_multiplied(config_)) {
      TensorDescription& stored = Tensor(tensor.files[0].name);
      stored.type = DataType::kI8;
      scales.push_back({.name = stored.name + kScaleSuffix, .shape = {tensor.shape[0]}});
    }
  }
  const std::vector<TensorDescription> codes = tensors_;
  tensors_.insert(tensors_.end(), scales.begin(), scales.end());
  WriteTensors({{"format", "pt"}, {kQuantizationMetadataKey, kInt8PerChannelForm}});
  const auto model = InspectModelDirectory(directory_.path());
  ASSERT_THAT(model, IsOk());
  EXPECT_TRUE(model->is_quantized());
  EXPECT_EQ(model->quantization(), "int8");
  EXPECT_THAT(ExportGguf(directory_.path(), directory_.File("m.gguf"), formats::GgufType::kQ8_0),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("is quantized (int8), and GGUF has no blocks for its codes; "
                                 "export the model that it was made from")));
  WriteTensors();
  ExpectRefused(absl::StatusCode::kInvalidArgument, "has type I8; wants F32");
  WriteTensors({{kQuantizationMetadataKey, "int3"}});
  ExpectRefused(absl::StatusCode::kUnimplemented,
                "quantization int3: not supported in this version");
  tensors_ = codes;
  WriteTensors({{kQuantizationMetadataKey, kInt8PerChannelForm}});
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor wte.weight_scale: missing; run the quantize job again");
}

TEST_F(ModelDirectoryTest, PackedDirectoryNamesItsRecipe) {
  tensors_.clear();
  for (const ModelTensor& tensor : ModelTensors(config_)) {
    if (tensor.is_multiplied(config_)) {
      tensors_.push_back({.name = tensor.name, .type = DataType::kU8, .shape = {64}});
      tensors_.push_back({.name = tensor.name + kScaleSuffix, .type = DataType::kU8, .shape = {8}});
    } else {
      tensors_.push_back({.name = tensor.name, .shape = tensor.shape});
    }
  }
  const std::string recipe = R"({"matrices": {"bits": 4, "groupSize": 32}, "head": {"bits": 8}})";
  WriteTensors({{kQuantizationMetadataKey, kPackedForm}, {kRecipeMetadataKey, recipe}});
  const auto model = InspectModelDirectory(directory_.path());
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->quantization(), "int4-g32+head=int8");
  WriteTensors({{kQuantizationMetadataKey, kPackedForm}});
  ExpectRefused(absl::StatusCode::kInvalidArgument, "wattle.recipe: missing or no recipe");
  WriteTensors({{kQuantizationMetadataKey, kPackedForm},
                {kRecipeMetadataKey, R"({"matrices": {"bits": 5}})"}});
  ExpectRefused(absl::StatusCode::kInvalidArgument, "recipe.matrices: bits: 5");
  Tensor("layers.1.up.weight_scale").name = "layers.1.up.weight_scales";
  WriteTensors({{kQuantizationMetadataKey, kPackedForm}, {kRecipeMetadataKey, recipe}});
  ExpectRefused(absl::StatusCode::kInvalidArgument,
                "tensor layers.1.up.weight_scale: missing; run the quantize job again");
}

TEST(SharedModelTest, Gpt2With30MillionParametersIsComplete) {
  const std::string path = TextPath("models/gpt2-30m");
  if (path.empty()) {
    GTEST_SKIP() << "WATTLE_TEXTS names no folder with models/";
  }
  const auto model = InspectModelDirectory(path);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->parameter_count(), 30142848);
}

}  // namespace
}  // namespace wattle::models
