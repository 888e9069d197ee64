// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A GPU's operations between the products of training, run on the host, against the CPU.
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "models/optimizer_state.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/device/testing/test_device_cases.h"
#include "worker/engine/kernels/adamw.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/masked_softmax.h"
#include "worker/engine/train/optimizer.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

KernelDevice OnHost(uint64_t order) {
  return KernelDevice([order](at::Device /*device*/) {
    return absl::StatusOr<std::unique_ptr<cuda::KernelLauncher>>(
        std::make_unique<cuda::HostLauncher>(order));
  });
}

KernelDevice WithoutKernels() {
  return KernelDevice([](at::Device /*device*/) {
    return absl::StatusOr<std::unique_ptr<cuda::KernelLauncher>>(
        absl::NotFoundError("NVRTC is not found"));
  });
}

size_t Drawn(uint64_t seed, int64_t which, size_t bound) {
  return static_cast<size_t>(kernels::RandomBelow({.seed = seed}, which, bound));
}

// The keys visible to the queries of a random pass, and the number of keys.
struct DrawnKeys {
  std::vector<SeenKeys> keys;
  int64_t seen = 0;
};

DrawnKeys KeysOf(uint64_t seed) {
  SequenceGroup group{.sequences = 1, .tokens = 1 + static_cast<int64_t>(Drawn(seed, 0, 45))};
  const int64_t window = Drawn(seed, 1, 3) == 0 ? 1 + static_cast<int64_t>(Drawn(seed, 2, 9)) : 0;
  int64_t cached = 0;
  if (Drawn(seed, 3, 3) == 0) {
    cached = static_cast<int64_t>(Drawn(seed, 4, 20));
  } else if (group.tokens > 8 && Drawn(seed, 5, 2) == 0) {
    group.branches = {3, 1, 2};
  }
  DrawnKeys drawn{.keys = {}, .seen = cached + group.tokens};
  drawn.keys = SeenKeysOf(group, drawn.seen, window);
  return drawn;
}

// Half a unit in the last place of the largest number of `wanted`, or the difference allowed for
// sums.
double Tolerance(FactorType factors, const at::Tensor& wanted) {
  const double largest = wanted.abs().max().item<double>();
  switch (factors) {
    case FactorType::kBf16:
      return largest * 0x1p-8;
    case FactorType::kFp16:
      return largest * 0x1p-10 + 1e-7;
    case FactorType::kFloat32:
      break;
  }
  return largest * 2e-6 + 1e-9;
}

void ExpectNear(FactorType factors, const at::Tensor& got, const at::Tensor& wanted,
                const char* what) {
  EXPECT_LE((got.to(at::kFloat) - wanted).abs().max().item<double>(), Tolerance(factors, wanted))
      << what;
}

TEST(KernelTrainingTest, SoftmaxAndItsGradientAreThoseOfTheCpu) {
  for (uint64_t seed = 1; seed <= 90; ++seed) {
    const DrawnKeys drawn = KeysOf(seed);
    const auto factors = static_cast<FactorType>(Drawn(seed, 6, 3));
    const DropoutState state = {.active = Drawn(seed, 7, 3) > 0, .seed = seed, .counter = 3};
    const ProbabilityDropout dropout = {
        .state = state,
        .layer = 2,
        .rate = 0.3,
        .first_element = static_cast<int64_t>(4 * Drawn(seed, 8, 9) + Drawn(seed, 9, 2))};
    SCOPED_TRACE(absl::StrCat("seed ", seed, ": ", drawn.keys.size(), " queries, ", drawn.seen,
                              " keys, factors ", static_cast<int>(factors)));
    const auto queries = static_cast<int64_t>(drawn.keys.size());
    const int64_t sequences = 1 + static_cast<int64_t>(Drawn(seed, 10, 2));
    const at::Tensor scores = Normal({sequences, 3, queries, drawn.seen}, seed).mul_(3.0);
    const at::Tensor gradients = Normal(scores.sizes(), seed + 1000);
    const KernelDevice device = OnHost(seed);

    at::Tensor wanted = scores.clone();
    const at::Tensor wanted_dropped =
        CpuOperations().Softmax(FactorType::kFloat32, drawn.keys, dropout, wanted);
    at::Tensor of_device = scores.clone();
    const at::Tensor dropped = device.Softmax(factors, drawn.keys, dropout, of_device);
    ExpectNear(factors, dropped, wanted_dropped, "dropped");

    at::Tensor wanted_gradients = gradients.clone();
    CpuOperations().SoftmaxBackward(FactorType::kFloat32, drawn.keys, dropout, wanted,
                                    wanted_gradients);
    at::Tensor of_scores = gradients.clone();
    const at::Tensor again =
        device.SoftmaxBackward(factors, drawn.keys, dropout, scores.clone(), of_scores);
    EXPECT_TRUE(at::equal(again, dropped)) << "the probabilities are made again, to the last bit";
    ExpectNear(factors, of_scores, wanted_gradients, "gradients");
  }
}

TEST(KernelTrainingTest, AScoreThatIsNoNumberIsNotHidden) {
  const std::vector<SeenKeys> keys = SeenKeysOf({.sequences = 1, .tokens = 8}, 8, 0);
  const DropoutState state;
  for (const FactorType factors : {FactorType::kFloat32, FactorType::kBf16, FactorType::kFp16}) {
    at::Tensor scores = at::zeros({1, 1, 8, 8});
    // A GPU computes this value: rounded like a number it would become -0.
    scores[0][0][5][2] = std::bit_cast<float>(0x7FFFFFFFU);
    scores[0][0][3][6] = std::nanf("");  // of a key that is invisible to query 3
    const at::Tensor dropped = OnHost(4).Softmax(factors, keys, {.state = state}, scores);
    const at::Tensor numbers = dropped.to(at::kFloat).isnan().sum(-1)[0][0];
    EXPECT_EQ(numbers.sum().item<int64_t>(), 6) << "all that query 5 sees";
    EXPECT_EQ(numbers[5].item<int64_t>(), 6);
  }
}

TEST(KernelTrainingTest, DropoutInPlaceIsThatOfTheCpu) {
  const kernels::RandomStream stream = {
      .seed = 7, .step = 3, .use = kernels::RandomUse::kMlpOutputDropout, .layer = 2};
  at::Tensor x = Normal({7, 301}, 4);
  at::Tensor wanted = x.clone();
  CpuOperations().DropOut(stream, 0.3, wanted);
  OnHost(2).DropOut(stream, 0.3, x);
  EXPECT_TRUE(at::equal(x, wanted));
}

TEST(KernelTrainingTest, TheLossAndItsGradientAreThoseOfTheCpu) {
  for (const int64_t vocabulary : {1, 7, 511, 512, 513, 2100}) {
    for (const double spread : {0.1, 30.0}) {
      SCOPED_TRACE(absl::StrCat(vocabulary, " tokens, spread ", spread));
      const auto number = static_cast<uint64_t>(vocabulary);
      const at::Tensor logits = Normal({5, vocabulary}, number).mul_(spread);
      at::Tensor targets = at::empty({5}, at::kLong);
      for (int64_t row = 0; row < 5; ++row) {
        targets[row] = static_cast<int64_t>(Drawn(number, row, static_cast<size_t>(vocabulary)));
      }
      at::Tensor wanted = logits.clone();
      const double wanted_loss =
          CpuOperations().CrossEntropyToGradient(targets, 0.25, wanted).Read();
      at::Tensor gradient = logits.clone();
      const double loss = OnHost(number).CrossEntropyToGradient(targets, 0.25, gradient).Read();
      EXPECT_NEAR(loss, wanted_loss, 1e-6 * wanted_loss + 1e-6);
      ExpectNear(FactorType::kFloat32, gradient, wanted, "gradient");
    }
  }
}

// --- the optimizers ---

constexpr kernels::AdamWStep kStep = {
    .step = 3, .learning_rate = 1e-2, .weight_decay = 0.1, .gradient_scale = 0.7};

// Parameters of random shapes with their whole optimizer state, after one step on the host.
class DrawnUpdate {
 public:
  // type: of the matrices.
  DrawnUpdate(v1::Optimizer optimizer, const std::vector<std::vector<int64_t>>& shapes,
              at::ScalarType type = at::kFloat)
      : optimizer_(optimizer), states_(shapes.size()) {
    uint64_t seed = 1;
    for (size_t i = 0; i < shapes.size(); ++i) {
      for (const models::OptimizerTensor& tensor : models::OptimizerTensors(optimizer, shapes[i])) {
        states_[i].push_back(at::zeros(tensor.shape, tensor.in_bytes ? at::kByte : at::kFloat));
      }
      weights_.push_back(Normal(shapes[i], ++seed).to(shapes[i].size() == 2 ? type : at::kFloat));
      gradients_.push_back(Normal(shapes[i], ++seed).mul_(0.1));
    }
    kernels::AdamWStep first = kStep;
    first.step = 1;
    By(CpuOperations(), first, {});
    for (const at::Tensor& gradients : gradients_) {
      gradients.copy_(Normal(gradients.sizes(), ++seed).mul_(0.2));
    }
  }

  // A copy after another step.
  [[nodiscard]] DrawnUpdate After(const DeviceOperations& device, const kernels::AdamWStep& step,
                                  const at::Tensor& decided = {}) const {
    DrawnUpdate after = *this;
    for (size_t i = 0; i < weights_.size(); ++i) {
      after.weights_[i] = weights_[i].clone();
      for (at::Tensor& tensor : after.states_[i]) {
        tensor = tensor.clone();
      }
    }
    after.By(device, step, decided);
    return after;
  }

  [[nodiscard]] bool Equals(const DrawnUpdate& other) const {
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (!at::equal(weights_[i], other.weights_[i])) {
        return false;
      }
      for (size_t j = 0; j < states_[i].size(); ++j) {
        if (!at::equal(states_[i][j], other.states_[i][j])) {
          return false;
        }
      }
    }
    return true;
  }

  // Few codes may be those of neighbouring levels.
  void ExpectNear(const DrawnUpdate& wanted) const {
    for (size_t i = 0; i < weights_.size(); ++i) {
      SCOPED_TRACE(absl::StrCat("parameter ", i, " of ", weights_[i].numel(), " weights"));
      if (weights_[i].scalar_type() == at::kBFloat16) {
        ExpectRoundedAlike(weights_[i], wanted.weights_[i]);
      } else {
        engine::ExpectNear(FactorType::kFloat32, weights_[i], wanted.weights_[i], "weights");
      }
      for (size_t j = 0; j < states_[i].size(); ++j) {
        if (states_[i][j].scalar_type() == at::kFloat) {
          engine::ExpectNear(FactorType::kFloat32, states_[i][j], wanted.states_[i][j], "state");
        } else {
          const at::Tensor differences =
              (states_[i][j].to(at::kInt) - wanted.states_[i][j].to(at::kInt)).abs();
          EXPECT_LE(differences.max().item<int>(), 1);
          EXPECT_LE(differences.sum().item<int64_t>(), states_[i][j].numel() / 1000);
        }
      }
    }
  }

 private:
  // Numbers that differ in their last bit before rounding seldom round to different values.
  static void ExpectRoundedAlike(const at::Tensor& got, const at::Tensor& wanted) {
    const at::Tensor wide = wanted.to(at::kFloat);
    const at::Tensor apart = (got.to(at::kFloat) - wide).abs();
    EXPECT_TRUE(apart.le(wide.abs() * 0x1p-7).all().item<bool>()) << "neighbours";
    EXPECT_LE(apart.gt(0).sum().item<int64_t>(), got.numel() / 500 + 1);
  }

  void By(const DeviceOperations& device, const kernels::AdamWStep& step,
          const at::Tensor& decided) {
    std::vector<UpdatedParameter> parameters;
    for (size_t i = 0; i < weights_.size(); ++i) {
      parameters.push_back({.weights = weights_[i],
                            .gradients = gradients_[i],
                            .state = states_[i],
                            .decays = i % 2 == 0,
                            .rounding = {.seed = 8,
                                         .step = static_cast<uint64_t>(step.step),
                                         .use = kernels::RandomUse::kWeightRounding,
                                         .layer = static_cast<uint32_t>(i)},
                            .levels = AtenOperations().LevelsOfMoments(at::kCPU)});
    }
    device.Update(optimizer_, step, decided, parameters);
  }

  v1::Optimizer optimizer_;
  std::vector<at::Tensor> weights_;
  std::vector<at::Tensor> gradients_;
  std::vector<std::vector<at::Tensor>> states_;
};

// Partly filled lanes, warps, blocks and chunks; more vectors than one launch takes.
std::vector<DrawnUpdate> DrawnUpdates() {
  std::vector<std::vector<int64_t>> vectors(35, {129});
  vectors.insert(vectors.end(), {{1}, {127}, {512}, {513}, {1300}});
  const std::vector<std::vector<int64_t>> matrices = {{1, 1},    {3, 517},  {64, 64}, {65, 128},
                                                      {67, 129}, {129, 40}, {200, 3}, {2, 2048}};
  std::vector<std::vector<int64_t>> both = matrices;
  both.insert(both.end(), {{127}, {4096}, {65, 65}, {9, 1111}});
  return {DrawnUpdate(v1::OPTIMIZER_ADAMW, vectors),
          DrawnUpdate(v1::OPTIMIZER_ADAMW_8BIT, {{100}, {4096}, {4097}, {65, 65}, {9, 1111}, {7}}),
          DrawnUpdate(v1::OPTIMIZER_ADAFACTOR, matrices),
          DrawnUpdate(v1::OPTIMIZER_ADAFACTOR, {{1}, {127}, {512}, {513}, {1300}}),
          DrawnUpdate(v1::OPTIMIZER_ADAMW, both, at::kBFloat16),
          DrawnUpdate(v1::OPTIMIZER_ADAMW_8BIT, both, at::kBFloat16),
          DrawnUpdate(v1::OPTIMIZER_ADAFACTOR, both, at::kBFloat16)};
}

TEST(KernelTrainingTest, AnUpdateIsThatOfTheCpu) {
  for (const DrawnUpdate& drawn : DrawnUpdates()) {
    const DrawnUpdate updated = drawn.After(OnHost(9), kStep);
    updated.ExpectNear(drawn.After(CpuOperations(), kStep));
    EXPECT_TRUE(updated.Equals(drawn.After(OnHost(23), kStep))) << "in any order of threads";
  }
}

TEST(KernelTrainingTest, WhatTheDeviceDecidedIsTheStepsOwnScaleAndBelowZeroChangesNothing) {
  kernels::AdamWStep other = kStep;
  other.gradient_scale = 100.0;
  const at::Tensor decided = at::full({1}, static_cast<float>(kStep.gradient_scale));
  const at::Tensor refused = at::full({1}, -1.0F);
  for (const DrawnUpdate& drawn : DrawnUpdates()) {
    const DrawnUpdate wanted = drawn.After(OnHost(3), kStep);
    EXPECT_FALSE(wanted.Equals(drawn));
    EXPECT_TRUE(wanted.Equals(drawn.After(OnHost(3), other, decided)));
    EXPECT_TRUE(drawn.Equals(drawn.After(OnHost(3), kStep, refused)));
    EXPECT_TRUE(drawn.Equals(drawn.After(AtenOperations(), kStep, refused)));
    drawn.After(AtenOperations(), other, decided).ExpectNear(wanted);
  }
}

// --- norms ---

TEST(KernelTrainingTest, RmsNormAndItsGradientsAreThoseOfTheCpu) {
  for (const int64_t rows : {1, 64, 130}) {
    for (const int64_t width : {5, 129, 512, 1100}) {
      for (const bool plus_one : {false, true}) {
        SCOPED_TRACE(absl::StrCat(rows, " rows of ", width, plus_one ? ", 1 + gain" : ""));
        const at::Tensor weight = Normal({width}, 3);
        const RmsGain gain = {.weight = weight, .plus_one = plus_one};
        const at::Tensor x = Normal({rows, width}, 4);
        const at::Tensor grad = Normal({rows, width}, 5);
        const KernelDevice device = OnHost(static_cast<uint64_t>(rows + width));
        at::Tensor wanted_reciprocal;
        at::Tensor reciprocal;
        const at::Tensor wanted = CpuOperations().RmsNorm(gain, 1e-5, x, wanted_reciprocal);
        ExpectNear(FactorType::kFloat32, device.RmsNorm(gain, 1e-5, x, reciprocal), wanted, "out");
        ExpectNear(FactorType::kFloat32, reciprocal, wanted_reciprocal, "reciprocal");
        at::Tensor wanted_gain = Normal({width}, 6);
        const at::Tensor of_gain = wanted_gain.clone();
        const at::Tensor wanted_x =
            CpuOperations().RmsNormBackward(gain, wanted_reciprocal, x, grad, wanted_gain);
        ExpectNear(FactorType::kFloat32,
                   device.RmsNormBackward(gain, wanted_reciprocal, x, grad, of_gain), wanted_x,
                   "gradient");
        ExpectNear(FactorType::kFloat32, of_gain, wanted_gain, "gain");
        EXPECT_TRUE(at::equal(device.RmsNormBackward(gain, wanted_reciprocal, x, grad, {}),
                              OnHost(7).RmsNormBackward(gain, wanted_reciprocal, x, grad, of_gain)))
            << "a gain that is not trained changes nothing";
      }
    }
  }
}

TEST(KernelTrainingTest, WithoutNvrtcLibtorchComputes) {
  const std::vector<SeenKeys> keys = SeenKeysOf({.sequences = 1, .tokens = 6}, 6, 0);
  const DropoutState state = {.active = true, .seed = 5, .counter = 3};
  const ProbabilityDropout dropout = {.state = state, .layer = 1, .rate = 0.2};
  const KernelDevice device = WithoutKernels();
  testing::internal::CaptureStderr();
  const at::Tensor scores = Normal({1, 2, 6, 6}, 1);
  at::Tensor wanted = scores.clone();
  at::Tensor of_device = scores.clone();
  const at::Tensor dropped = device.Softmax(FactorType::kBf16, keys, dropout, of_device);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("NVRTC is not found"));
  EXPECT_TRUE(
      at::equal(dropped, AtenOperations().Softmax(FactorType::kBf16, keys, dropout, wanted)));
  at::Tensor gradients = Normal({1, 2, 6, 6}, 2);
  at::Tensor wanted_gradients = gradients.clone();
  EXPECT_TRUE(
      at::equal(device.SoftmaxBackward(FactorType::kBf16, keys, dropout, scores.clone(), gradients),
                dropped));
  AtenOperations().SoftmaxBackward(FactorType::kBf16, keys, dropout, wanted, wanted_gradients);
  EXPECT_TRUE(at::equal(gradients, wanted_gradients));
}

}  // namespace
}  // namespace wattle::engine
