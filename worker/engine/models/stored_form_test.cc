// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Inference keeps FP16, BF16, and the codes of a GGUF file in the form of the files: the same
// weights to the last bit as the FP32 model of the same file, in fewer bytes. Training reads FP32.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/durable_file.h"
#include "base/testing/status_matchers.h"
#include "formats/gguf_blocks.h"
#include "formats/safetensors.h"
#include "models/decoder_config.h"
#include "models/gguf_config.h"
#include "models/gguf_directory.h"
#include "models/model_directory.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/models/testing/test_stored_model.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using formats::GgufType;
using testing::HasSubstr;

// Tiny, with tied embeddings if GGUF supports them for the family: GPT-NeoX's never are.
models::DecoderConfig ConfigOf(const std::string& family, int width = 32) {
  models::DecoderConfig config = TinyConfigOf(family.c_str(), width);
  config.tied_embeddings = family == "gpt2";
  return config;
}

std::string MakeStoredModel(const char* family, GgufType type) {
  // Blocks of Q6_K have 256 weights of a row.
  return engine::MakeStoredModel(ConfigOf(family, type == GgufType::kQ6K ? 256 : 32), type);
}

LoadedModel Load(const std::string& directory, bool in_stored_form) {
  auto model = LoadModel(directory, {.device = TestDeviceName(), .in_stored_form = in_stored_form});
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

LoadedModel LoadWith(const std::string& directory, std::optional<v1::QuantizationRecipe> recipe) {
  RecordingSink sink;
  auto model = LoadForInference(JobOn(directory, std::move(recipe)), sink);
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

TokenBatch SomeTokens() {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < 40; ++i) {
    tokens.push_back(i * 7 % 250);
  }
  return BatchOf({{tokens, std::vector<uint8_t>(tokens.size(), 1)}});
}

// Bytes of the packed matrices, and the number of parameters in them.
std::pair<int64_t, int64_t> PackedBytes(const LoadedModel& model) {
  DecoderWeights weights = model.decoder.weights;
  std::pair<int64_t, int64_t> bytes = {0, 0};
  for (const Parameter& parameter : model.parameters) {
    if (!parameter.in_arena()) {
      const MatrixWeights& matrix = MatrixAt(weights, parameter.tensor);
      bytes.first += matrix.packed.nbytes() + matrix.scales.nbytes();
      bytes.second += parameter.tensor.element_count();
    }
  }
  return bytes;
}

struct Form {
  GgufType type;
  const char* name;  // of the matrices
  double logits;     // largest error caused by rounding the inputs
  double bytes_of_weight;
};

std::ostream& operator<<(std::ostream& out, const Form& form) {
  return out << form.name;
}

class StoredFormTest : public testing::TestWithParam<std::tuple<const char*, Form>> {
 protected:
  [[nodiscard]] const char* family() const { return std::get<0>(GetParam()); }
  [[nodiscard]] Form form() const { return std::get<1>(GetParam()); }
};

TEST_P(StoredFormTest, WeightsAreThoseOfTheFileToTheLastBit) {
  const std::string directory = MakeStoredModel(family(), form().type);
  const LoadedModel floats = Load(directory, false);
  EXPECT_EQ(RecipeIdentity(floats.recipe), "none");
  const LoadedModel stored = Load(directory, true);
  EXPECT_THAT(RecipeIdentity(stored.recipe), testing::StartsWith(form().name));
  DecoderWeights of_floats = floats.decoder.weights;
  DecoderWeights of_stored = stored.decoder.weights;
  int packed = 0;
  for (size_t i = 0; i < stored.parameters.size(); ++i) {
    const Parameter& parameter = stored.parameters[i];
    if (parameter.in_arena()) {
      continue;
    }
    ++packed;
    EXPECT_EQ(kernels::FormatName(parameter.format), form().name) << parameter.tensor.name;
    EXPECT_TRUE(Dequantize(MatrixAt(of_stored, parameter.tensor))
                    .equal(MatrixAt(of_floats, parameter.tensor).value))
        << parameter.tensor.name;
  }
  const bool tied = floats.files.config.tied_embeddings;
  EXPECT_EQ(packed, tied ? 9 : 10);  // four matrices in each of two blocks, table and head
  EXPECT_GE(models::InspectModelDirectory(directory)->stored_recipe.matrices().bits(), 4);
}

TEST_P(StoredFormTest, LogitsAreThoseOfTheFloats) {
  const std::string directory = MakeStoredModel(family(), form().type);
  const at::Tensor wanted = AllLogits(Load(directory, false).decoder, SomeTokens());
  const at::Tensor got = AllLogits(Load(directory, true).decoder, SomeTokens());
  EXPECT_LT((got - wanted).norm().item<double>() / wanted.norm().item<double>(), form().logits);
}

TEST_P(StoredFormTest, MatricesTakeTheBytesOfTheirForm) {
  const auto [bytes, weights] = PackedBytes(Load(MakeStoredModel(family(), form().type), true));
  const double of_weight = static_cast<double>(bytes) / static_cast<double>(weights);
  RecordProperty("bytes_of_weight", absl::StrCat(of_weight));
  EXPECT_LT(of_weight, form().bytes_of_weight);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, StoredFormTest,
    testing::Combine(testing::Values("gpt2", "llama", "gpt_neox"),
                     // Rows of 32 columns are padded to 64 in 8 bits.
                     testing::Values(Form{GgufType::kQ8_0, "int8-g32", 0.03, 2.1},
                                     Form{GgufType::kQ4_0, "int4-g32", 0.03, 0.6},
                                     Form{GgufType::kQ6K, "int6-g16", 0.03, 0.83},
                                     Form{GgufType::kF16, "fp16", 1e-5, 2.01},
                                     Form{GgufType::kBF16, "bf16", 1e-5, 2.01})),
    [](const auto& row) {
      std::string name = absl::StrCat(std::get<0>(row.param), "_", std::get<1>(row.param).name);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST(StoredFormJobsTest, WhatAsksForAFormGetsItAndTrainingReadsFloats) {
  const std::string directory = MakeStoredModel("llama", GgufType::kQ4_0);
  EXPECT_EQ(RecipeIdentity(LoadWith(directory, std::nullopt).recipe),
            "int4-g32+embedding=int4-g32");
  EXPECT_FALSE(LoadWith(directory, *RecipeOfIdentity("none")).is_quantized());
  const LoadedModel int8 = LoadWith(directory, *RecipeOfIdentity("int8"));
  EXPECT_EQ(RecipeIdentity(int8.recipe), "int8");
  RecordingSink sink;
  for (const auto& model : {LoadForTraining(JobOn(directory), false, sink),
                            LoadFrozen(JobOn(directory), false, sink)}) {
    ASSERT_THAT(model, IsOk());
    EXPECT_FALSE(model->is_quantized());
    EXPECT_EQ(RecipeIdentity(model->recipe), "none");
  }
}

TEST(StoredFormJobsTest, NothingIsRoundedTo16Bits) {
  RecordingSink sink;
  for (const char* form : {"fp16", "bf16"}) {
    EXPECT_THAT(LoadForInference(JobOn(MakeTinyModel("model", 5), *RecipeOfIdentity(form)), sink),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr(absl::StrCat(form, ": the engine does not round to it"))));
  }
}

TEST(StoredFormJobsTest, LossOfATextIsThatOfTheFloats) {
  for (const auto& [type, tolerance] : {std::pair{GgufType::kQ8_0, 2e-3},
                                        {GgufType::kQ4_0, 2e-3},
                                        {GgufType::kQ6K, 2e-3},
                                        {GgufType::kF16, 1e-5},
                                        {GgufType::kBF16, 1e-5}}) {
    EvaluateSettings settings;
    settings.model = JobOn(MakeStoredModel("gpt2", type));
    settings.data = MakeTinyText("text", 60);
    RecordingSink sink;
    const auto stored = Evaluate(settings, sink);
    settings.model.recipe = *RecipeOfIdentity("none");
    const auto floats = Evaluate(settings, sink);
    ASSERT_THAT(stored, IsOk());
    ASSERT_THAT(floats, IsOk());
    EXPECT_NEAR(stored->figures.loss / floats->figures.loss, 1.0, tolerance);
    EXPECT_EQ(RecipeIdentity(floats->model.recipe), "none");
    EXPECT_NE(RecipeIdentity(stored->model.recipe), "none");
  }
}

// Writes one byte of the file.
void ChangeFile(const std::string& path, size_t at, char value) {
  std::string bytes = FileBytes(path);
  ASSERT_LT(at, bytes.size());
  bytes[at] = value;
  ASSERT_THAT(WriteFileDurably(path, bytes), IsOk());
}

// The offset of a matrix in the file: the scale of its first block.
size_t ScaleOfSomeBlock(const std::string& directory, GgufType type) {
  const auto file = formats::GgufFile::Open(directory + "/model.gguf");
  EXPECT_THAT(file, IsOk());
  const formats::GgufTensor* tensor = file->header().Find("blk.1.attn_output.weight");
  EXPECT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->type, type);
  return static_cast<size_t>(file->header().data_start_bytes + tensor->offset_bytes);
}

TEST(StoredFormFileTest, ScalesThatAreNotFiniteAreRefusedByTheTensorsName) {
  const std::string directory = MakeStoredModel("llama", GgufType::kQ4_0);
  const size_t place = ScaleOfSomeBlock(directory, GgufType::kQ4_0);
  ChangeFile(directory + "/model.gguf", place + 1, '\x7C');  // FP16's exponent of infinity
  EXPECT_THAT(LoadModel(directory, {.device = TestDeviceName(), .in_stored_form = true}),
              StatusIs(absl::StatusCode::kDataLoss,
                       testing::AllOf(HasSubstr("layers.1.self_attn.o_proj.weight"),
                                      HasSubstr("not finite"))));
}

// llama.cpp's output for a model with tied embeddings: all in Q4_0, except the table in Q6_K.
std::string MakeQ4WithHeadOfQ6(const char* family) {
  std::string directory = engine::MakeStoredModel(ConfigOf(family, 256), GgufType::kQ4_0);
  RewriteAsQ6K(directory, [](const std::string& name) { return name == "token_embd.weight"; });
  return directory;
}

TEST(StoredFormFileTest, AQ4ModelKeepsItsHeadOfQ6) {
  const std::string directory = MakeQ4WithHeadOfQ6("gpt2");
  const LoadedModel floats = Load(directory, false);
  const LoadedModel stored = Load(directory, true);
  EXPECT_EQ(RecipeIdentity(stored.recipe), "int4-g32+head=int6-g16");
  EXPECT_TRUE(Dequantize(stored.decoder.weights.head).equal(floats.decoder.weights.head.value));
  // Compared with the same codes and the head in FP32, only the head's product differs: its inputs
  // are rounded to int8 in groups of 16.
  const at::Tensor hidden = OnTestDevice(at::randn({7, 256}));
  const at::Tensor wanted = at::mm(hidden, floats.decoder.weights.head.value.t());
  EXPECT_LT(RelativeError(MatrixProduct(stored.decoder.weights.head, hidden, {}), wanted), 0.02);
  const at::Tensor got = AllLogits(stored.decoder, SomeTokens());
  EXPECT_LT(RelativeError(got, AllLogits(floats.decoder, SomeTokens())), 0.05);
  const at::Tensor tokens = OnTestDevice(at::tensor(at::IntArrayRef({0, 17, 255, 3}), at::kLong));
  EXPECT_TRUE(LookUpRows(stored.decoder.weights.head, tokens)
                  .equal(floats.decoder.weights.head.value.index_select(0, tokens)));
}

TEST(StoredFormFileTest, ABlocksScaleThatIsNotFiniteIsRefusedByTheTensorsName) {
  const std::string directory = MakeStoredModel("llama", GgufType::kQ6K);
  const size_t place = ScaleOfSomeBlock(directory, GgufType::kQ6K);
  ChangeFile(directory + "/model.gguf", place + 209, '\x7C');  // FP16's exponent of infinity
  EXPECT_THAT(LoadModel(directory, {.device = TestDeviceName(), .in_stored_form = true}),
              StatusIs(absl::StatusCode::kDataLoss,
                       testing::AllOf(HasSubstr("layers.1.self_attn.o_proj.weight"),
                                      HasSubstr("not finite"))));
}

TEST(StoredFormJobsTest, NothingIsRoundedToInt6) {
  RecordingSink sink;
  EXPECT_THAT(LoadForInference(
                  JobOn(MakeTinyModel("model", 5), *RecipeOfIdentity("int8+head=int6-g16")), sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("blocks of 256 (int6)")));
  EXPECT_THAT(LoadForInference(JobOn(engine::MakeModelOf(ConfigOf("gpt2", 256)),
                                     *RecipeOfIdentity("int8+head=int6-g16")),
                               sink),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("int6-g16: the engine does not round to it")));
}

// llama.cpp's own rounding never produces it.
TEST(StoredFormFileTest, TheCodeMinus128IsAWeight) {
  const std::string directory = MakeStoredModel("llama", GgufType::kQ8_0);
  const size_t place = ScaleOfSomeBlock(directory, GgufType::kQ8_0);
  ChangeFile(directory + "/model.gguf", place + 2, '\x80');
  LoadedModel floats = Load(directory, false);
  LoadedModel stored = Load(directory, true);
  const at::Tensor weights = Dequantize(stored.decoder.weights.blocks[1].attention_output.matrix);
  EXPECT_TRUE(weights.equal(floats.decoder.weights.blocks[1].attention_output.matrix.value));
  const at::Tensor got = AllLogits(stored.decoder, SomeTokens());
  const at::Tensor wanted = AllLogits(floats.decoder, SomeTokens());
  EXPECT_LT((got - wanted).norm().item<double>() / wanted.norm().item<double>(), 0.02);
}

// Bytes read by this process so far.
int64_t BytesRead() {
  std::ifstream io("/proc/self/io");  // proc(5)
  std::string name;
  int64_t bytes = 0;
  io >> name >> bytes;
  EXPECT_EQ(name, "rchar:");
  return bytes;
}

// GPT-2's rows are outputs in GGUF and inputs in its own files. The largest here are two pieces.
TEST(StoredFormFileTest, AMatrixWithItsOutputsAsRowsIsReadOnce) {
  const std::string directory = engine::MakeStoredModel(ConfigOf("gpt2", 640), GgufType::kF16);
  const auto size = static_cast<int64_t>(std::filesystem::file_size(directory + "/model.gguf"));
  for (const bool in_stored_form : {true, false}) {
    const int64_t before = BytesRead();
    const LoadedModel model = Load(directory, in_stored_form);
    EXPECT_LT(BytesRead() - before, size * 5 / 4) << in_stored_form;
    EXPECT_GT(BytesRead() - before, size / 2) << "the test measures what it should";
  }
}

// Parts of one matrix in two different forms have no common form.
TEST(StoredFormFileTest, AMatrixOfTwoFormsIsFp32AndTheOthersAreNot) {
  const std::string directory = MakeModelOf(ConfigOf("llama"));
  RoundTensors(directory, formats::DataType::kF16, [](const std::string& name) {
    return absl::EndsWith(name, "_proj.weight") && name != "model.layers.0.self_attn.k_proj.weight";
  });
  const auto files = models::InspectModelDirectory(directory);
  ASSERT_THAT(files, IsOk());
  // The first layer's qkv is FP32, so the recipe has FP32 for everything except the exceptions.
  const LoadedModel stored = Load(directory, true);
  for (const Parameter& parameter : stored.parameters) {
    const bool wants_half = parameter.tensor.is_matrix() && parameter.tensor.layer >= 0 &&
                            parameter.tensor.name != "layers.0.qkv.weight";
    EXPECT_EQ(kernels::FormatName(parameter.format), wants_half ? "fp16" : "fp32")
        << parameter.tensor.name;
  }
  const at::Tensor got = AllLogits(stored.decoder, SomeTokens());
  EXPECT_LT(RelativeError(got, AllLogits(Load(directory, false).decoder, SomeTokens())),
            kLogitsTolerance);
}

}  // namespace
}  // namespace wattle::engine
