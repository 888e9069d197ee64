// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The optimizers against bitsandbytes and transformers
// (tests/golden/engine/optimizers.safetensors), and their kernels against the plain-ATen forms,
// which other devices run.
#include "worker/engine/train/optimizer.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "worker/engine/device/device.h"
#include "worker/engine/kernels/adamw_8bit.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

constexpr int64_t kGoldenSteps = 4;
constexpr v1::Optimizer kOptimizers[] = {v1::OPTIMIZER_ADAMW, v1::OPTIMIZER_ADAMW_8BIT,
                                         v1::OPTIMIZER_ADAFACTOR};

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor tensor = at::empty(shape);
  kernels::RandomNormal({.seed = seed}, 1.0F, tensor.numel(), tensor.data_ptr<float>());
  return tensor;
}

// The golden's step; generate_optimizers.py has the numbers.
kernels::AdamWStep GoldenStep(int64_t step) {
  return {.step = step,
          .learning_rate = 0.01,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .epsilon = 1e-8,
          .weight_decay = 0.1};
}

// One tensor with its optimizer's state.
struct One {
  std::vector<Parameter> parameters;
  ArenaLayout layout;
  at::Tensor weights;
  OptimizerState state;

  One(v1::Optimizer optimizer, const at::Tensor& value) {
    Parameter& parameter = parameters.emplace_back();
    parameter.tensor.name = "one";
    parameter.tensor.shape = value.sizes().vec();
    layout = TrainableLayout(parameters);
    weights = at::zeros({layout.elements}, TestDevice());
    View().copy_(value);
    state = MakeOptimizerState(optimizer, parameters, layout, TestDevice());
  }
  [[nodiscard]] at::Tensor View() const { return ArenaView(weights, layout, parameters, 0); }
  void Step(const kernels::AdamWStep& step, const at::Tensor& gradient) {
    const at::Tensor gradients = at::zeros({layout.elements}, TestDevice());
    ArenaView(gradients, layout, parameters, 0).copy_(gradient);
    UpdateParameters(step, {parameters, {View()}}, {layout, gradients}, state);
  }
};

at::Tensor GoldenTensor(const std::map<std::string, at::Tensor>& golden, const std::string& name,
                        int64_t step) {
  return golden.at(absl::StrCat(name, ".", step));
}

TEST(OptimizerGoldenTest, EightBitLevelsAreThoseOfBitsandbytes) {
  const auto golden = ReadTensors("optimizers.safetensors");
  for (int64_t code = 0; code < 256; ++code) {
    const auto at = static_cast<size_t>(code);
    EXPECT_NEAR(kernels::FirstMomentLevels()[at], golden.at("signed_map")[code].item<float>(),
                2e-7);
    EXPECT_NEAR(kernels::SecondMomentLevels()[at], golden.at("unsigned_map")[code].item<float>(),
                2e-7);
  }
}

// Codes differ by at most one level: a moment half-way between two levels may round to either side.
// Small moments may differ more, because bitsandbytes on the CPU only resolves 2^-15 of the scale,
// and here a second moment above 0 never gets the code of 0.
void ExpectNearLevels(const at::Tensor& levels, const at::Tensor& codes, const at::Tensor& wanted) {
  const at::Tensor own = codes.to(at::kLong);
  const at::Tensor others = wanted.to(at::kLong);
  const at::Tensor apart =
      (levels.index_select(0, own) - levels.index_select(0, others)).abs() > 1.0 / (1 << 14);
  EXPECT_EQ(apart.logical_and((own - others).abs() > 1).sum().item<int64_t>(), 0);
}

// The codes agree except for moments near the middle of two levels, whose differences persist in
// later steps.
TEST(OptimizerGoldenTest, EightBitAdamWTakesTheStepsOfBitsandbytes) {
  const auto golden = ReadTensors("optimizers.safetensors");
  One one(v1::OPTIMIZER_ADAMW_8BIT, golden.at("weight"));
  const int64_t count = one.View().numel();
  at::Tensor same = at::ones({count}, at::kBool);  // codes so far, element by element
  for (int64_t step = 1; step <= kGoldenSteps; ++step) {
    one.Step(GoldenStep(step), GoldenTensor(golden, "gradient", step));
    const at::Tensor difference =
        (one.View().cpu() - GoldenTensor(golden, "adamw_8bit.weight", step)).abs().flatten();
    EXPECT_LT(difference.masked_select(same).max().item<float>(), 2e-6) << "step " << step;
    const std::vector<at::Tensor>& state = one.state.tensors[0];
    const at::Tensor first_codes = GoldenTensor(golden, "adamw_8bit.first_codes", step);
    const at::Tensor second_codes = GoldenTensor(golden, "adamw_8bit.second_codes", step);
    const at::Tensor own_first = state[0].flatten().cpu();
    const at::Tensor own_second = state[2].flatten().cpu();
    ExpectNearLevels(golden.at("signed_map"), own_first.masked_select(same),
                     first_codes.masked_select(same));
    ExpectNearLevels(golden.at("unsigned_map"), own_second.masked_select(same),
                     second_codes.masked_select(same));
    same = same.logical_and(own_first == first_codes).logical_and(own_second == second_codes);
    EXPECT_LT(RelativeError(state[1], GoldenTensor(golden, "adamw_8bit.first_scales", step)), 0.01);
    EXPECT_LT(RelativeError(state[3], GoldenTensor(golden, "adamw_8bit.second_scales", step)),
              0.01);
  }
  EXPECT_GT(same.sum().item<int64_t>(), count * 85 / 100);
}

TEST(OptimizerGoldenTest, AdafactorTakesTheStepsOfTransformers) {
  const auto golden = ReadTensors("optimizers.safetensors");
  One matrix(v1::OPTIMIZER_ADAFACTOR, golden.at("weight"));
  One vector(v1::OPTIMIZER_ADAFACTOR, golden.at("vector"));
  for (int64_t step = 1; step <= kGoldenSteps; ++step) {
    kernels::AdamWStep update = GoldenStep(step);
    const at::Tensor gradient = GoldenTensor(golden, "gradient", step);
    matrix.Step(update, gradient);
    EXPECT_LT(RelativeError(matrix.View(), GoldenTensor(golden, "adafactor.matrix", step)), 2e-6);
    // A vector does not decay in the engine; in the golden it does.
    vector.View().mul_(1.0 - update.learning_rate * update.weight_decay);
    vector.Step(update, gradient.select(0, -1));
    EXPECT_LT(RelativeError(vector.View(), GoldenTensor(golden, "adafactor.vector", step)), 2e-6);
  }
}

// A tensor of several pieces, shared by threads, gets the same steps as its parts: each piece has
// the scales of its own blocks.
TEST(OptimizerPiecesTest, MomentsIn8BitsOfALargeTensorAreThoseOfItsParts) {
  const at::Tensor weights = Normal({256, 512}, 1);
  One whole(v1::OPTIMIZER_ADAMW_8BIT, weights);
  One upper(v1::OPTIMIZER_ADAMW_8BIT, weights.narrow(0, 0, 128));
  One lower(v1::OPTIMIZER_ADAMW_8BIT, weights.narrow(0, 128, 128));
  for (int64_t step = 1; step <= 3; ++step) {
    const at::Tensor gradient = Normal({256, 512}, 10 + static_cast<uint64_t>(step));
    gradient.narrow(0, 128, 128).mul_(100.0);
    whole.Step(GoldenStep(step), gradient);
    upper.Step(GoldenStep(step), gradient.narrow(0, 0, 128));
    lower.Step(GoldenStep(step), gradient.narrow(0, 128, 128));
  }
  EXPECT_TRUE(at::equal(whole.View(), at::cat({upper.View(), lower.View()})));
}

class OptimizerTest : public testing::TestWithParam<v1::Optimizer> {};

TEST_P(OptimizerTest, KernelAgreesWithThePlainForm) {
  LoadedModel model;
  model.parameters = ParametersOf(TinyConfig());
  model.parameters[3].trainable = false;
  model.layout = ValueLayout(model.parameters);
  model.arena = OnTestDevice(Normal({model.layout.elements}, 1));
  const std::vector<at::Tensor> values = ArenaViews(model.arena, model.layout, model.parameters);
  const at::Tensor before = model.arena.clone();
  const ArenaLayout layout = TrainableLayout(model.parameters);
  EXPECT_LT(layout.elements, model.layout.elements);
  OptimizerState state = MakeOptimizerState(GetParam(), model.parameters, layout, TestDevice());
  const at::Tensor plain_weights = model.arena.clone();
  const OptimizerState plain =
      MakeOptimizerState(GetParam(), model.parameters, layout, TestDevice());
  const auto view = [&](const at::Tensor& arena, const ArenaLayout& of, size_t parameter) {
    return ArenaView(arena, of, model.parameters, parameter);
  };
  for (int64_t step = 1; step <= 3; ++step) {
    const at::Tensor gradients =
        OnTestDevice(Normal({layout.elements}, 10 + static_cast<uint64_t>(step)));
    const kernels::AdamWStep update{
        .step = step, .learning_rate = 0.01, .weight_decay = 0.2, .gradient_scale = 0.5};
    UpdateParameters(update, {model.parameters, values}, {layout, gradients}, state);
    for (size_t i = 0; i < model.parameters.size(); ++i) {
      if (!layout.holds(i)) {
        continue;
      }
      const UpdatedParameter updated = {.weights = view(plain_weights, model.layout, i),
                                        .gradients = view(gradients, layout, i),
                                        .state = plain.tensors[i],
                                        .decays = model.parameters[i].decays(),
                                        .levels = AtenOperations().LevelsOfMoments(TestDevice())};
      AtenOperations().Update(GetParam(), update, /*decided=*/{}, absl::MakeConstSpan(&updated, 1));
    }
  }
  // In 8 bits a moment between two levels may round to either side.
  const double tolerance = GetParam() == v1::OPTIMIZER_ADAMW_8BIT ? 1e-3 : 1e-6;
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    EXPECT_TRUE(at::allclose(view(model.arena, model.layout, i),
                             view(plain_weights, model.layout, i), 1e-5, tolerance))
        << tensor.name;
    EXPECT_EQ(model.parameters[i].decays(), tensor.shape.size() == 2) << tensor.name;
  }
  EXPECT_TRUE(at::equal(view(model.arena, model.layout, 3), view(before, model.layout, 3)));
}

// A matrix that is updated in several pieces.
TEST_P(OptimizerTest, TheBitsDoNotDependOnTheNumberOfThreads) {
  const auto train = [&](int threads) {
    at::set_num_threads(threads);
    One one(GetParam(), Normal({700, 301}, 3));
    for (int64_t step = 1; step <= 2; ++step) {
      one.Step(GoldenStep(step), Normal({700, 301}, 20 + static_cast<uint64_t>(step)));
    }
    at::set_num_threads(1);
    return std::pair(one.weights, one.state.region);
  };
  const auto one = train(1);
  const auto three = train(3);
  EXPECT_TRUE(at::equal(one.first, three.first));
  EXPECT_TRUE(at::equal(one.second, three.second));
}

INSTANTIATE_TEST_SUITE_P(Optimizers, OptimizerTest, testing::ValuesIn(kOptimizers),
                         [](const auto& row) { return v1::Optimizer_Name(row.param); });

TEST(GradientNormTest, ClippingBringsTheGlobalNormToItsLimit) {
  const at::Tensor gradients = OnTestDevice(Normal({100003}, 5));
  const double norm = GradientNorm(gradients).Read();
  // A device sums in FP32, by libtorch.
  const double tolerance = OperationsOn(TestDevice()).in_host_memory() ? 1e-9 : 1e-6;
  EXPECT_NEAR(norm, gradients.cpu().to(at::kDouble).norm().item<double>(), tolerance * norm);
  EXPECT_DOUBLE_EQ(ClipScale({.clip_norm = 2.0}, norm), 2.0 / norm);
  EXPECT_DOUBLE_EQ(ClipScale({.clip_norm = 2.0}, 1.9), 1.0);
  EXPECT_DOUBLE_EQ(ClipScale({.clip_norm = -1.0}, norm), 1.0);
}

}  // namespace
}  // namespace wattle::engine
