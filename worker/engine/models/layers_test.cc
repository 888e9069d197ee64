// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Our kernels against their plain-ATen twins, which are what other devices run; int8 models on disk
// and in memory.
#include "worker/engine/models/layers.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/status_matchers.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/quant/int8_model.h"
#include "worker/engine/quant/quantize.h"
#include "worker/engine/test_model.h"
#include "worker/engine/train/optimizer.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor tensor = at::empty(shape);
  kernels::RandomNormal({.seed = seed}, 1.0F, tensor.numel(), tensor.data_ptr<float>());
  return tensor;
}

TEST(LayersTest, Int8KernelAgreesWithThePlainForm) {
  LinearWeights linear;
  linear.codes = Normal({24, 40}, 1).mul_(50.0).clamp_(-127.0, 127.0).to(at::kChar);
  linear.scales = Normal({24}, 2).abs_().mul_(0.01);
  linear.bias = Normal({24}, 3);
  for (const int64_t rows : {1, 3, 4, 5, 9}) {  // on both sides of the kernel's limit
    const at::Tensor x = Normal({rows, 40}, 4);
    const at::Tensor wanted = Int8ProductPlain(linear.codes, linear.scales, x, linear.bias);
    EXPECT_TRUE(at::allclose(LinearForward(linear, x), wanted, 1e-5, 1e-5)) << rows << " rows";
  }
}

TEST(LayersTest, OneRowEqualsTheSameRowOfMany) {
  LinearWeights linear;
  linear.weight = Normal({40, 24}, 1);
  linear.bias = Normal({24}, 2);
  const at::Tensor x = Normal({3, 40}, 3);
  EXPECT_TRUE(at::allclose(LinearForward(linear, x.narrow(0, 1, 1)),
                           LinearForward(linear, x).narrow(0, 1, 1), 1e-5, 1e-5));
}

TEST(OptimizerTest, KernelAgreesWithThePlainForm) {
  const FlatLayout layout = MakeFlatLayout(TinyConfig());
  at::Tensor weights = Normal({layout.elements}, 1);
  OptimizerMoments moments = ZeroMoments(weights);
  at::Tensor plain_weights = weights.clone();
  OptimizerMoments plain = ZeroMoments(weights);
  for (int64_t step = 1; step <= 3; ++step) {
    const at::Tensor gradients = Normal({layout.elements}, 10 + static_cast<uint64_t>(step));
    kernels::AdamWStep update{
        .step = step, .learning_rate = 0.01, .weight_decay = 0.2, .gradient_scale = 0.5};
    AdamWStepFlat(layout, update, weights, gradients, moments);
    for (const FlatEntry& entry : layout.entries) {
      update.weight_decay = entry.decays ? 0.2 : 0.0;
      AdamWPlain(update, FlatView(plain_weights, entry), FlatView(gradients, entry),
                 {FlatView(plain.first, entry), FlatView(plain.second, entry)});
    }
  }
  for (const FlatEntry& entry : layout.entries) {
    EXPECT_TRUE(at::allclose(FlatView(weights, entry), FlatView(plain_weights, entry), 1e-5, 1e-6))
        << entry.tensor.name;
    EXPECT_EQ(entry.decays, entry.tensor.shape.size() == 2) << entry.tensor.name;
  }
}

TEST(OptimizerTest, ClippingBringsTheGlobalNormToItsLimit) {
  const at::Tensor gradients = Normal({100003}, 5);
  const double norm = GradientNorm(gradients);
  EXPECT_NEAR(norm, gradients.to(at::kDouble).norm().item<double>(), 1e-9 * norm);
  EXPECT_DOUBLE_EQ(ClipScale({.clip_norm = 2.0}, norm), 2.0 / norm);
  EXPECT_DOUBLE_EQ(ClipScale({.clip_norm = 2.0}, 1.9), 1.0);
  EXPECT_DOUBLE_EQ(ClipScale({.clip_norm = -1.0}, norm), 1.0);
}

TEST(QuantizeTest, Int8DirectoryReloadsBitForBitAndRefusesASecondTime) {
  const std::string directory = MakeTinyModel("model", 5);
  QuantizeSettings settings;
  settings.model.directory = directory;
  settings.output_directory = TestDirectory("int8");
  RecordingSink sink;
  const auto result = Quantize(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->model.int8);
  EXPECT_EQ(sink.steps.size(), 9U);  // four matrices in each of two blocks, and the table
  auto in_memory =
      LoadForInference({.directory = directory, .quantization = LoadQuantization::kInt8});
  const auto reloaded = LoadForInference({.directory = settings.output_directory});
  ASSERT_THAT(in_memory, IsOk());
  ASSERT_THAT(reloaded, IsOk());
  const BlockWeights& a = in_memory->decoder.weights.blocks[1];
  const BlockWeights& b = reloaded->decoder.weights.blocks[1];
  EXPECT_TRUE(at::equal(a.down.codes, b.down.codes));
  EXPECT_TRUE(at::equal(a.down.scales, b.down.scales));
  EXPECT_TRUE(at::equal(a.qkv.bias, b.qkv.bias));
  EXPECT_TRUE(
      at::equal(in_memory->decoder.weights.head.codes, reloaded->decoder.weights.tokens.codes));
  const std::string again = TestDirectory("again");
  ASSERT_THAT(SaveInt8Model(again, *reloaded), IsOk());
  EXPECT_EQ(FileBytes(again + "/model.safetensors"),
            FileBytes(settings.output_directory + "/model.safetensors"));
  EXPECT_LT(FileBytes(again + "/model.safetensors").size(),
            FileBytes(directory + "/model.safetensors").size() / 2);
  settings.model.directory = settings.output_directory;
  EXPECT_THAT(Quantize(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("int8 already")));
}

TEST(QuantizeTest, LogitsStayWithinTheErrorBudget) {
  const std::string directory = MakeTinyModel("model", 5);
  auto model = LoadForInference({.directory = directory});
  ASSERT_THAT(model, IsOk());
  for (const FlatEntry& entry : model->layout.entries) {
    if (entry.decays) {
      FlatView(model->flat, entry).mul_(8.0);  // the matrices: logits of several units
    }
  }
  formats::PackedExample example;
  for (int64_t i = 0; i < 40; ++i) {
    example.tokens.push_back(i * 7 % 250);
  }
  example.loss_mask.assign(example.tokens.size(), 1);
  const formats::PackedExample* pointer = &example;
  const TokenBatch batch = MakeTokenBatch(absl::MakeConstSpan(&pointer, 1));
  const at::Tensor wanted = AllLogits(model->decoder, batch);
  ASSERT_THAT(QuantizeInPlace(*model, nullptr), IsOk());
  const at::Tensor got = AllLogits(model->decoder, batch);
  // Rounding to 254 steps of a channel's range is about 0.4 % of a weight's deviation a product;
  // layers add up.
  EXPECT_LT((got - wanted).norm().item<double>() / wanted.norm().item<double>(), 0.02);
  EXPECT_FALSE(at::equal(got, wanted));
}

TEST(EvaluateTest, PerplexityIsTheExponentOfTheLossAndInt8IsNear) {
  const std::string directory = MakeTinyModel("model", 5);
  EvaluateSettings settings;
  settings.model.directory = directory;
  settings.data = MakeTinyText("text", 60);
  RecordingSink sink;
  const auto plain = Evaluate(settings, sink);
  ASSERT_THAT(plain, IsOk());
  EXPECT_DOUBLE_EQ(plain->figures.perplexity, std::exp(plain->figures.loss));
  // A byte tokenizer: each byte but the first is predicted once, whatever the windows.
  EXPECT_EQ(plain->figures.predicted_tokens,
            static_cast<int64_t>(FileBytes(settings.data).size()) - 1);
  EXPECT_DOUBLE_EQ(plain->bytes_per_token, 1.0);
  settings.model.quantization = LoadQuantization::kInt8;
  const auto int8 = Evaluate(settings, sink);
  ASSERT_THAT(int8, IsOk());
  EXPECT_TRUE(int8->model.int8);
  EXPECT_NEAR(int8->figures.loss, plain->figures.loss, 0.01);
}

TEST(EvaluateTest, LossDoesNotDependOnTheBatchSize) {
  EvaluateSettings settings;
  settings.model.directory = MakeTinyModel("model", 5);
  settings.data = MakeTinySquad("squad", 5);
  RecordingSink sink;
  settings.batch_size = 1;
  const auto one = Evaluate(settings, sink);
  settings.batch_size = 4;
  const auto four = Evaluate(settings, sink);
  ASSERT_THAT(one, IsOk());
  ASSERT_THAT(four, IsOk());
  EXPECT_NEAR(four->figures.loss, one->figures.loss, 1e-5);
  EXPECT_EQ(four->figures.predicted_tokens, one->figures.predicted_tokens);
}

TEST(GenerateTest, WritesOneGenerationForEachPromptAndRefusesALongOne) {
  GenerateSettings settings;
  settings.model.directory = MakeTinyModel("model", 5);
  settings.prompts = {{"a", "sun"}, {"b", ""}};
  settings.max_new_tokens = 3;
  RecordingSink sink;
  const auto result = Generate(settings, sink);
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->generations.size(), 2U);
  EXPECT_EQ(result->generations[0].prompt_tokens, 3);
  EXPECT_EQ(result->generations[1].prompt_tokens, 1);  // the begin token
  EXPECT_EQ(static_cast<int64_t>(sink.steps.size()), result->generated_tokens);
  settings.prompts = {{"long", std::string(64, 'x')}};
  EXPECT_THAT(Generate(settings, sink), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 AllOf(HasSubstr("prompt long"), HasSubstr("64"))));
}

TEST(LoadModelTest, WeightsThatAreNotFiniteNameTheTensor) {
  const std::string directory = MakeTinyModel("model", 5);
  auto model = LoadForInference({.directory = directory});
  ASSERT_THAT(model, IsOk());
  model->decoder.weights.blocks[0].up.bias[3] = std::nan("");
  const std::string broken = TestDirectory("broken");
  ASSERT_THAT(SaveModel(broken, *model), IsOk());
  EXPECT_THAT(LoadModel(broken, "cpu"),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("h.0.mlp.c_fc.bias"), HasSubstr("not finite"))));
}

TEST(LoadModelTest, ADeviceThatIsNotThereSaysSo) {
  if (at::hasCUDA()) {
    GTEST_SKIP() << "this machine has CUDA";
  }
  EXPECT_THAT(LoadModel(MakeTinyModel("model", 5), "cuda"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("use \"cpu\"")));
}

}  // namespace
}  // namespace wattle::engine
