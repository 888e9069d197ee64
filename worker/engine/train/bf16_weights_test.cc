// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// BF16 matrices: products and gradients equal those of the same numbers in FP32, files keep their
// bits, and the tiny updates of every optimizer are kept on average. Resuming is tested with the
// other optimizers (finetune_test.cc). Tiny models, one thread.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/status_macros.h"
#include "base/testing/status_matchers.h"
#include "formats/safetensors_set.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/kernels/bf16.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/layers.h"
#include "worker/engine/models/products.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/adapters.h"
#include "worker/engine/train/finetune.h"
#include "worker/engine/train/optimizer.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;
using testing::HasSubstr;

// Two FP32 sums of the same products in another order.
constexpr double kBf16SumTolerance = 1e-5;

class Bf16WeightsTest : public testing::TestWithParam<FactorType> {
 protected:
  void SetUp() override {
    ASSERT_THAT(SetThreads(1), IsOk());
    at::manual_seed(20260202);
  }
};

// The model in both forms, with the same numbers.
struct Pair {
  LoadedModel bf16;
  LoadedModel floats;
};

absl::StatusOr<Pair> LoadBoth(const std::string& directory) {
  RecordingSink sink;
  WATTLE_ASSIGN_OR_RETURN(LoadedModel bf16, LoadFrozen(JobOn(directory), true, sink));
  WATTLE_ASSIGN_OR_RETURN(LoadedModel floats, LoadFrozen(JobOn(directory), false, sink));
  const std::vector<at::Tensor> from = bf16.Values();
  const std::vector<at::Tensor> to = floats.Values();
  for (size_t i = 0; i < from.size(); ++i) {
    to[i].copy_(from[i]);
  }
  return Pair{std::move(bf16), std::move(floats)};
}

TEST_P(Bf16WeightsTest, ProductsAreThoseOfTheFloatCopy) {
  const FactorScope scope(GetParam());
  MatrixWeights stored = EmptyMatrix({kernels::WeightScheme::kBf16}, 300, 70);
  stored.packed.copy_(at::randn({300, 70}));
  stored = OnTestDevice(stored);
  stored.dequantized_products = true;
  MatrixWeights copy;
  copy.value = stored.packed.to(at::kFloat);
  copy.matrix.rows = 300;
  copy.matrix.columns = 70;
  const at::Tensor bias = OnTestDevice(at::randn({300}));
  const at::Tensor grad = OnTestDevice(at::randn({33, 300}));
  for (const int64_t rows : {1, 33}) {
    const at::Tensor x = OnTestDevice(at::randn({rows, 70}));
    const at::Tensor got = MatrixProduct(stored, x, bias);
    const at::Tensor wanted = MatrixProduct(copy, x, bias);
    if (GetParam() == FactorType::kFloat32) {
      EXPECT_LT(RelativeError(got, wanted), kBf16SumTolerance);
    } else {
      EXPECT_TRUE(at::equal(got, wanted));
    }
  }
  const at::Tensor back = TransposedProduct(stored, grad);
  EXPECT_LT(RelativeError(back, TransposedProduct(copy, grad)), kBf16SumTolerance);
  if (GetParam() != FactorType::kFloat32) {
    EXPECT_TRUE(at::equal(back, TransposedProduct(copy, grad)));
  }
  const at::Tensor tokens = OnTestDevice(at::tensor(at::IntArrayRef({299, 0}), at::kLong));
  EXPECT_TRUE(at::equal(LookUpRows(stored, tokens), LookUpRows(copy, tokens)));
}

// Gradients of adapters beside BF16 weights, and of the weights themselves, equal those of the FP32
// model with the same numbers: to the last bit if products round their factors.
TEST_P(Bf16WeightsTest, LossAndGradientsAreThoseOfTheFloatCopy) {
  const FactorScope scope(GetParam());
  auto models = LoadBoth(MakeTinyModel("model", 3));
  ASSERT_THAT(models, IsOk());
  auto adapters = MakeAdapters({.rank = 4, .alpha = 8.0}, models->bf16.files, 5, TestDevice());
  ASSERT_THAT(adapters, IsOk());
  adapters->arena.copy_(at::randn(adapters->arena.sizes()) * 0.1);
  std::vector<Example> examples;
  for (const int64_t length : {40, 23}) {
    examples.push_back(
        {.tokens = {}, .mask = std::vector<uint8_t>(static_cast<size_t>(length), 1)});
    for (int64_t i = 0; i < length; ++i) {
      examples.back().tokens.push_back((i * 37 + length) % 256);
    }
  }
  const TokenBatch batch = BatchOf(examples);
  const ArenaLayout layout = ValueLayout(models->floats.parameters);
  const auto run = [&](LoadedModel& model) {
    AttachAdapters(*adapters, adapters->arena, model.decoder.weights);
    const at::Tensor gradients = at::zeros({layout.elements}, TestDevice());
    const at::Tensor of_adapters = at::zeros_like(adapters->arena);
    DecoderWeights views =
        WeightsOver(model.files.config, models->floats.parameters, layout, gradients);
    AttachAdapters(*adapters, of_adapters, views);
    const double loss = LossSumAndGradients(model.decoder, batch, {}, 1.0, views);
    return std::make_tuple(loss, of_adapters, gradients);
  };
  const auto [loss, of_adapters, gradients] = run(models->bf16);
  const auto [wanted_loss, wanted_of_adapters, wanted] = run(models->floats);
  EXPECT_NEAR(loss, wanted_loss, 1e-6 * wanted_loss);
  EXPECT_LT(RelativeError(of_adapters, wanted_of_adapters), kBf16SumTolerance);
  EXPECT_LT(RelativeError(gradients, wanted), kBf16SumTolerance);
  if (GetParam() != FactorType::kFloat32) {
    EXPECT_EQ(loss, wanted_loss);
    EXPECT_TRUE(at::equal(of_adapters, wanted_of_adapters));
    EXPECT_TRUE(at::equal(gradients, wanted));
  }
}

INSTANTIATE_TEST_SUITE_P(Factors, Bf16WeightsTest,
                         testing::Values(FactorType::kFloat32, FactorType::kBf16,
                                         FactorType::kFp16),
                         [](const auto& row) {
                           return absl::StrCat("factors_", static_cast<int>(row.param));
                         });

TEST(Bf16FilesTest, MatricesAreRoundedToTheNearestAndComeBackBitForBit) {
  const std::string directory = MakeTinyModel("model", 3);
  const auto exact = LoadModel(directory, {.device = TestDeviceName()});
  const auto rounded = LoadModel(directory, {.device = TestDeviceName(), .bf16_matrices = true});
  ASSERT_THAT(exact, IsOk());
  ASSERT_THAT(rounded, IsOk());
  EXPECT_FALSE(rounded->is_quantized());
  const std::vector<at::Tensor> floats = exact->Values();
  const std::vector<at::Tensor> values = rounded->Values();
  for (size_t i = 0; i < values.size(); ++i) {
    const Parameter& parameter = rounded->parameters[i];
    EXPECT_EQ(values[i].scalar_type(), IsMatrixSlot(parameter.tensor) ? at::kBFloat16 : at::kFloat)
        << parameter.tensor.name;
    EXPECT_TRUE(parameter.trainable);
    EXPECT_TRUE(at::equal(values[i], floats[i].to(values[i].scalar_type())))
        << parameter.tensor.name;
  }
  const std::string saved = NewTestDirectory("saved");
  ASSERT_THAT(SaveModel(saved, *rounded), IsOk());
  const auto file = formats::SafetensorsSet::OpenDirectory(saved);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->Find("transformer.wte.weight")->type, formats::DataType::kBF16);
  EXPECT_EQ(file->Find("transformer.wpe.weight")->type, formats::DataType::kF32);
  const auto again = LoadModel(saved, {.device = TestDeviceName(), .bf16_matrices = true});
  const auto widened = LoadModel(saved, {.device = TestDeviceName()});
  ASSERT_THAT(again, IsOk());
  ASSERT_THAT(widened, IsOk());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_TRUE(at::equal(again->Values()[i], values[i]));
    EXPECT_TRUE(at::equal(widened->Values()[i], values[i].to(at::kFloat)));
  }
}

class TinyUpdatesTest : public testing::TestWithParam<v1::Optimizer> {};

// A thousand optimizer steps on a BF16 matrix whose updates are far below BF16's step move it, on
// average, as far as an FP32 copy.
TEST_P(TinyUpdatesTest, AThousandArrive) {
  ASSERT_THAT(SetThreads(1), IsOk());
  constexpr int64_t kSide = 100;  // in several blocks of moments, starting at an odd element
  std::vector<Parameter> parameters(1);
  parameters[0].tensor.name = "one";
  parameters[0].tensor.shape = {kSide + 1, kSide};
  const ArenaLayout layout = TrainableLayout(parameters);
  const auto run = [&](at::ScalarType type) {
    const std::vector<at::Tensor> values = {
        at::ones(parameters[0].tensor.shape, at::dtype(type).device(TestDevice()))};
    OptimizerState state = MakeOptimizerState(GetParam(), parameters, layout, TestDevice());
    state.rounding_seed = 20260203;
    const at::Tensor gradients = at::full({layout.elements}, -1.0F, TestDevice());
    for (int64_t step = 1; step <= 1000; ++step) {
      UpdateParameters({.step = step, .learning_rate = 0x1p-13}, {parameters, values},
                       {layout, gradients}, state);
    }
    return values[0].to(at::kDouble);
  };
  const double moved = (run(at::kFloat) - 1.0).mean().item<double>();
  const at::Tensor rounded = run(at::kBFloat16) - 1.0;
  EXPECT_GT(moved, 0.1);
  // Each step rounds with a deviation of at most √(p (1 - p)) steps of 2^-7, where p is 1/64.
  constexpr double kDeviation = 0x1p-7 * 0.125;
  const double bound = 5.0 * kDeviation * std::sqrt(1000.0 / static_cast<double>(rounded.numel()));
  EXPECT_NEAR(rounded.mean().item<double>(), moved, bound);
  EXPECT_GT(rounded.std(true).item<double>(), 0.0);
}

INSTANTIATE_TEST_SUITE_P(Optimizers, TinyUpdatesTest,
                         testing::Values(v1::OPTIMIZER_ADAMW, v1::OPTIMIZER_ADAMW_8BIT,
                                         v1::OPTIMIZER_ADAFACTOR),
                         [](const auto& row) { return v1::Optimizer_Name(row.param); });

class Bf16FinetuneTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

// Sixty steps of a tiny model; TinyUpdatesTest shows the loss that rounding to nearest would cause.
TEST_F(Bf16FinetuneTest, FullTrainingLearnsAsInFloat) {
  FinetuneSettings settings = TinyFinetune("float");
  settings.steps = 60;
  settings.learning_rate = 1e-3;
  settings.checkpoint_every_steps = 1000;
  const std::vector<double> exact = LossesOf(settings);
  settings.work_directory = NewTestDirectory("bf16_work");
  settings.bf16_weights = true;
  const std::vector<double> rounded = LossesOf(settings);
  ASSERT_EQ(exact.size(), 60U);
  ASSERT_EQ(rounded.size(), 60U);
  EXPECT_LT(exact.back(), exact.front() - 0.5);
  EXPECT_NEAR(rounded.back(), exact.back(), 0.03 * exact.back());
  EXPECT_NE(rounded, exact) << "nothing was rounded";
  const auto file = formats::SafetensorsSet::OpenDirectory(settings.output_directory);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->Find("transformer.h.0.mlp.c_fc.weight")->type, formats::DataType::kBF16);
}

// Beside the model's own BF16 numbers nothing is lost: the run equals that over the FP32 copy.
TEST_F(Bf16FinetuneTest, AdaptersTrainAsBesideTheFloatCopy) {
  FinetuneSettings settings = TinyFinetune("adapters");
  const auto rounded =
      LoadModel(settings.model.directory, {.device = TestDeviceName(), .bf16_matrices = true});
  ASSERT_THAT(rounded, IsOk());
  const std::string directory = NewTestDirectory("bf16_model");
  ASSERT_THAT(SaveModel(directory, *rounded), IsOk());
  settings.model.directory = directory;
  settings.lora = LoraSettings{.rank = 4, .alpha = 8.0, .dropout = 0.1};
  settings.precision = FactorType::kBf16;
  settings.epochs = 4;
  const std::vector<double> beside_floats = LossesOf(settings);
  settings.work_directory = NewTestDirectory("bf16_work");
  settings.bf16_weights = true;
  EXPECT_EQ(LossesOf(settings), beside_floats);
  settings.work_directory = NewTestDirectory("mezo_work");
  settings.precision = FactorType::kFloat32;
  settings.adamw = {};
  settings.lora->dropout = 0.0;
  settings.mezo = MezoSettings{};
  EXPECT_FALSE(LossesOf(settings).empty());
}

TEST_F(Bf16FinetuneTest, TheEmbeddingBesideQuantizedWeightsIsBf16) {
  RecordingSink sink;
  const auto model =
      LoadFrozen(JobOn(MakeTinyModel("model", 3), *RecipeOfIdentity("nf4-g32+head=fp32")),
                 /*bf16_matrices=*/true, sink);
  ASSERT_THAT(model, IsOk());
  EXPECT_TRUE(model->is_quantized());
  EXPECT_TRUE(model->decoder.weights.tokens.is_bf16());
  EXPECT_TRUE(model->decoder.weights.head.is_bf16());
  EXPECT_EQ(model->decoder.weights.blocks[0].qkv.matrix.matrix.format.scheme,
            kernels::WeightScheme::kNf4DoubleQuantized);
}

TEST_F(Bf16FinetuneTest, WhatNeedsFloatsIsRefused) {
  const auto status = [](auto change) {
    FinetuneSettings settings = TinyFinetune("refused");
    settings.bf16_weights = true;
    change(settings);
    RecordingSink sink;
    return Finetune(settings, sink).status();
  };
  EXPECT_THAT(
      status([](FinetuneSettings& s) { s.model.recipe = *RecipeOfIdentity("int8"); }),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("does not go with quantization")));
  EXPECT_THAT(status([](FinetuneSettings& s) {
                s.lora.emplace();
                s.lora->merge = true;
              }),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("lora.merge")));
  EXPECT_THAT(status([](FinetuneSettings& s) { s.mezo = MezoSettings{}; }),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("weights_precision")));
}

TEST_F(Bf16FinetuneTest, ACheckpointOfFloatsIsOfAnotherJob) {
  FinetuneSettings settings = TinyFinetune("run");
  LossesOf(settings);
  settings.bf16_weights = true;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("weights bf16")));
}

}  // namespace
}  // namespace wattle::engine
