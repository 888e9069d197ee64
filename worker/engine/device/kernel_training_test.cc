// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a GPU computes between the products of training, run on the host, against the CPU.
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

#include "worker/engine/device/cuda/host_launcher.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/device/test_device_cases.h"
#include "worker/engine/kernels/adamw.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/seen_softmax.h"
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

// What the queries of a drawn pass see, and how many keys there are.
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

// Half a unit in the last place of numbers up to the largest of `wanted`, or what sums differ by.
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
    at::Tensor probabilities = scores.clone();
    const at::Tensor dropped = device.Softmax(factors, drawn.keys, dropout, probabilities);
    ExpectNear(FactorType::kFloat32, probabilities, wanted, "probabilities");
    ExpectNear(factors, dropped, wanted_dropped, "dropped");

    at::Tensor wanted_gradients = gradients.clone();
    CpuOperations().SoftmaxBackward(FactorType::kFloat32, drawn.keys, dropout, wanted,
                                    wanted_gradients);
    at::Tensor of_scores = gradients.clone();
    const at::Tensor again =
        device.SoftmaxBackward(factors, drawn.keys, dropout, probabilities, of_scores);
    EXPECT_TRUE(at::equal(again, dropped));
    ExpectNear(factors, of_scores, wanted_gradients, "gradients");
  }
}

TEST(KernelTrainingTest, AScoreThatIsNoNumberIsNotHidden) {
  const std::vector<SeenKeys> keys = SeenKeysOf({.sequences = 1, .tokens = 8}, 8, 0);
  const DropoutState state;
  for (const FactorType factors : {FactorType::kFloat32, FactorType::kBf16, FactorType::kFp16}) {
    at::Tensor scores = at::zeros({1, 1, 8, 8});
    // As a GPU makes one: rounded like a number it would become -0.
    scores[0][0][5][2] = std::bit_cast<float>(0x7FFFFFFFU);
    scores[0][0][3][6] = std::nanf("");  // of a key that query 3 does not see
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

TEST(KernelTrainingTest, AnUpdateIsThatOfTheCpu) {
  constexpr int64_t kParameters = 35;  // more than a launch takes
  for (const int64_t count : {1, 127, 512, 513, 1300}) {
    SCOPED_TRACE(absl::StrCat(count, " weights"));
    const kernels::AdamWStep step = {
        .step = 3, .learning_rate = 1e-2, .weight_decay = 0.1, .gradient_scale = 0.7};
    const at::Tensor gradients = Normal({kParameters, count}, 5);
    const auto updated = [&](const DeviceOperations& device) {
      const at::Tensor first = Normal({kParameters, count}, 6).mul_(0.1);
      const at::Tensor second = Normal({kParameters, count}, 7).square_();
      const at::Tensor weights = Normal({kParameters, count}, 8);
      std::vector<std::vector<at::Tensor>> states;
      for (int64_t i = 0; i < kParameters; ++i) {
        states.push_back({first[i], second[i]});
      }
      std::vector<UpdatedParameter> parameters;
      for (int64_t i = 0; i < kParameters; ++i) {
        parameters.push_back({.weights = weights[i],
                              .gradients = gradients[i],
                              .state = states[static_cast<size_t>(i)],
                              .decays = i % 2 == 0});
      }
      device.Update(v1::OPTIMIZER_ADAMW, step, parameters);
      return at::stack({weights, first, second});
    };
    ExpectNear(FactorType::kFloat32, updated(OnHost(9)), updated(CpuOperations()), "update");
  }
}

TEST(KernelTrainingTest, WithoutNvrtcLibtorchComputes) {
  const std::vector<SeenKeys> keys = SeenKeysOf({.sequences = 1, .tokens = 6}, 6, 0);
  const DropoutState state = {.active = true, .seed = 5, .counter = 3};
  const ProbabilityDropout dropout = {.state = state, .layer = 1, .rate = 0.2};
  const KernelDevice device = WithoutKernels();
  testing::internal::CaptureStderr();
  at::Tensor scores = Normal({1, 2, 6, 6}, 1);
  at::Tensor wanted = scores.clone();
  const at::Tensor dropped = device.Softmax(FactorType::kBf16, keys, dropout, scores);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("NVRTC is not found"));
  EXPECT_TRUE(
      at::equal(dropped, AtenOperations().Softmax(FactorType::kBf16, keys, dropout, wanted)));
  at::Tensor gradients = Normal({1, 2, 6, 6}, 2);
  at::Tensor wanted_gradients = gradients.clone();
  EXPECT_TRUE(at::equal(device.SoftmaxBackward(FactorType::kBf16, keys, dropout, scores, gradients),
                        dropped));
  AtenOperations().SoftmaxBackward(FactorType::kBf16, keys, dropout, scores, wanted_gradients);
  EXPECT_TRUE(at::equal(gradients, wanted_gradients));
}

}  // namespace
}  // namespace wattle::engine
