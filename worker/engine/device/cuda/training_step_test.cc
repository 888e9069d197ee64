// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The optimizers' and RMSNorm's kernels on buffers that end at their last number, so that
// AddressSanitizer detects any access beyond. Results are compared with those of the CPU's kernels
// here, and with those of the whole device in ../kernel_training_test.cc.
#include "worker/engine/device/cuda/training_step.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/device/cuda/random_words.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/kernels/adamw_8bit.h"
#include "worker/engine/kernels/bf16.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::cuda {
namespace {

struct Moments8bit {
  explicit Moments8bit(int64_t count)
      : weights(kernels::NormalValues(count, 1)),
        first_codes(weights.size(), 127),
        second_codes(weights.size(), 0),
        first_scales((weights.size() + 255) / 256, 0.0F),
        second_scales(first_scales) {}

  std::vector<float> weights;
  std::vector<uint8_t> first_codes;
  std::vector<uint8_t> second_codes;
  std::vector<float> first_scales;
  std::vector<float> second_scales;
};

constexpr kernels::RandomStream kRounding = {
    .seed = 5, .step = 2, .use = kernels::RandomUse::kWeightRounding, .layer = 7};

// A step with weights of either type.
void UpdateByKernel(const kernels::AdamWStep& step, const std::vector<float>& gradients,
                    WeightType type, void* weights, Moments8bit& moments) {
  AdamW8bitArguments arguments = {.parameters = {},
                                  .first_levels = kernels::FirstMomentLevels().data(),
                                  .second_levels = kernels::SecondMomentLevels().data(),
                                  .numbers = NumbersOf(step, /*decided=*/nullptr)};
  const auto count = static_cast<int64_t>(gradients.size());
  arguments.parameters[0] = {.weights = weights,
                             .gradients = gradients.data(),
                             .first_codes = moments.first_codes.data(),
                             .first_scales = moments.first_scales.data(),
                             .second_codes = moments.second_codes.data(),
                             .second_scales = moments.second_scales.data(),
                             .count = count,
                             .first_block = 0,
                             .keep = kernels::ScalarsOf(step).keep,
                             .rounding = WordsOf(kRounding)};
  HostLauncher launcher(static_cast<uint64_t>(count));
  ASSERT_THAT(Launch(arguments, type, launcher), IsOk());
}

void UpdateOnCpu(const kernels::AdamWStep& step, const std::vector<float>& gradients,
                 Moments8bit& moments) {
  kernels::AdamW8bitUpdate(step, {.weights = moments.weights.data(),
                                  .gradients = gradients.data(),
                                  .first_codes = moments.first_codes.data(),
                                  .first_scales = moments.first_scales.data(),
                                  .second_codes = moments.second_codes.data(),
                                  .second_scales = moments.second_scales.data(),
                                  .count = static_cast<int64_t>(gradients.size())});
}

void ExpectTheSame(const Moments8bit& got, const Moments8bit& wanted) {
  EXPECT_EQ(got.first_codes, wanted.first_codes);
  EXPECT_EQ(got.second_codes, wanted.second_codes);
  EXPECT_EQ(got.first_scales, wanted.first_scales);
  EXPECT_EQ(got.second_scales, wanted.second_scales);
}

constexpr int64_t kCounts[] = {1, 31, 255, 256, 257, 1023, 1025, 5000};

kernels::AdamWStep StepNumber(int64_t number) {
  return {.step = number, .learning_rate = 1e-2, .weight_decay = 0.1, .gradient_scale = 0.7};
}

std::vector<float> GradientsOf(int64_t count, int64_t number) {
  return kernels::NormalValues(count, static_cast<uint64_t>(10 + number));
}

TEST(CudaAdamW8bitTest, TwoStepsAreThoseOfTheCpuToTheLastBit) {
  for (const int64_t count : kCounts) {
    SCOPED_TRACE(absl::StrCat(count, " weights"));
    Moments8bit got(count);
    Moments8bit wanted(count);
    for (int64_t number = 1; number <= 2; ++number) {
      const std::vector<float> gradients = GradientsOf(count, number);
      UpdateOnCpu(StepNumber(number), gradients, wanted);
      UpdateByKernel(StepNumber(number), gradients, WeightType::kFloat32, got.weights.data(), got);
    }
    EXPECT_EQ(got.weights, wanted.weights);
    ExpectTheSame(got, wanted);
  }
}

// The second weight is infinite and the third NaN.
TEST(CudaAdamW8bitTest, WeightsInBf16AreRoundedAsOnTheCpuToTheLastBit) {
  for (const int64_t count : kCounts) {
    SCOPED_TRACE(absl::StrCat(count, " weights"));
    Moments8bit got(count);
    Moments8bit wanted(count);
    std::vector<uint16_t> weights(wanted.weights.size());
    std::transform(wanted.weights.begin(), wanted.weights.end(), weights.begin(),
                   kernels::Bf16FromFloat);
    if (count > 2) {
      weights[1] = 0xFF80;
      weights[2] = 0x7F81;
    }
    std::vector<uint16_t> by_kernel = weights;
    for (int64_t number = 1; number <= 2; ++number) {
      const std::vector<float> gradients = GradientsOf(count, number);
      kernels::WidenBf16(weights.data(), count, wanted.weights.data());
      UpdateOnCpu(StepNumber(number), gradients, wanted);
      kernels::RoundBf16Stochastically(kRounding, 0, wanted.weights.data(), count, weights.data());
      UpdateByKernel(StepNumber(number), gradients, WeightType::kBf16, by_kernel.data(), got);
    }
    EXPECT_EQ(by_kernel, weights);
    ExpectTheSame(got, wanted);
  }
}

// The first step has only the squares in the means, so the update's root mean square is near 1.
TEST(CudaAdafactorTest, TheFirstStepMovesWeightsByTheRate) {
  constexpr float kRate = 0.01F;
  for (const auto& [rows, columns] : std::vector<std::pair<int, int>>{
           {1, 1}, {1, 700}, {63, 5}, {64, 129}, {65, 512}, {130, 33}}) {
    SCOPED_TRACE(absl::StrCat(rows, " x ", columns));
    const int64_t count = int64_t{rows} * columns;
    const std::vector<float> before = kernels::NormalValues(count, 2);
    std::vector<float> weights = before;
    const std::vector<float> gradients = kernels::NormalValues(count, 3);
    std::vector<float> row_means(static_cast<size_t>(rows));
    std::vector<float> column_means(static_cast<size_t>(columns));
    std::vector<float> row_factors(row_means.size());
    std::vector<float> row_squares(row_means.size());
    std::vector<float> column_factors(column_means.size());
    const int chunks = ChunksOf(rows);
    std::vector<float> sums(static_cast<size_t>(chunks) * column_means.size());
    float rate = 0.0F;
    HostLauncher launcher(static_cast<uint64_t>(count));
    ASSERT_THAT(Launch(AdafactorArguments{.weights = weights.data(),
                                          .gradients = gradients.data(),
                                          .row_means = rows > 1 ? row_means.data() : nullptr,
                                          .column_means = column_means.data(),
                                          .row_factors = row_factors.data(),
                                          .column_factors = column_factors.data(),
                                          .sums = sums.data(),
                                          .row_squares = row_squares.data(),
                                          .rate = &rate,
                                          .rows = rows,
                                          .columns = columns,
                                          .chunks = chunks,
                                          .rest = 1.0F,
                                          .learning_rate = kRate,
                                          .keep = 1.0F,
                                          .gradient_scale = 0.5F,
                                          .decided = nullptr,
                                          .rounding = {}},
                       WeightType::kFloat32, launcher),
                IsOk());
    double squares = 0.0;
    for (size_t i = 0; i < weights.size(); ++i) {
      const double moved = static_cast<double>(before[i]) - static_cast<double>(weights[i]);
      EXPECT_GE(moved * static_cast<double>(gradients[i]), 0.0) << "against the gradient";
      squares += moved * moved;
    }
    const double mean = std::sqrt(squares / static_cast<double>(count)) / kRate;
    EXPECT_GT(mean, rows == 1 ? 0.99 : 0.5);
    EXPECT_LT(mean, 1.01);
  }
}

TEST(CudaRmsNormTest, RowsHaveAMeanSquareOfOneAndGradientsStandUprightOnThem) {
  for (const auto& [rows, width] :
       std::vector<std::pair<int, int>>{{1, 2}, {63, 5}, {64, 129}, {65, 512}, {3, 700}}) {
    SCOPED_TRACE(absl::StrCat(rows, " x ", width));
    const int64_t count = int64_t{rows} * width;
    const std::vector<float> x = kernels::NormalValues(count, 4);
    const std::vector<float> gain(static_cast<size_t>(width), 0.0F);
    const std::vector<float> gradients = kernels::NormalValues(count, 5);
    std::vector<float> reciprocals(static_cast<size_t>(rows));
    std::vector<float> out(x.size());
    std::vector<float> of_x(x.size());
    std::vector<float> of_gain(gain.size());
    std::vector<float> sums(static_cast<size_t>(ChunksOf(rows)) * gain.size());
    HostLauncher launcher(static_cast<uint64_t>(count));
    ASSERT_THAT(Launch(RmsNormArguments{.x = x.data(),
                                        .gain = gain.data(),
                                        .reciprocals = reciprocals.data(),
                                        .out = out.data(),
                                        .width = width,
                                        .gain_offset = 1.0F,
                                        .epsilon = 0.0F},
                       rows, launcher),
                IsOk());
    ASSERT_THAT(Launch(RmsNormBackwardArguments{.x = x.data(),
                                                .gain = gain.data(),
                                                .reciprocals = reciprocals.data(),
                                                .gradients = gradients.data(),
                                                .of_x = of_x.data(),
                                                .gain_sums = sums.data(),
                                                .gain_gradient = of_gain.data(),
                                                .rows = rows,
                                                .width = width,
                                                .chunks = ChunksOf(rows),
                                                .gain_offset = 1.0F},
                       launcher),
                IsOk());
    for (int row = 0; row < rows; ++row) {
      double squares = 0.0;
      double along = 0.0;  // scaling a row keeps its norm, so its gradient is orthogonal to it
      for (int column = 0; column < width; ++column) {
        const size_t i =
            static_cast<size_t>(row) * static_cast<size_t>(width) + static_cast<size_t>(column);
        squares += static_cast<double>(out[i]) * static_cast<double>(out[i]);
        along += static_cast<double>(of_x[i]) * static_cast<double>(x[i]);
      }
      EXPECT_NEAR(squares / width, 1.0, 1e-5);
      EXPECT_NEAR(along, 0.0, 1e-4 * width);
    }
    double of_gains = 0.0;
    double wanted = 0.0;
    for (const float value : of_gain) {
      of_gains += static_cast<double>(value);
    }
    for (size_t i = 0; i < x.size(); ++i) {
      wanted += static_cast<double>(gradients[i]) * static_cast<double>(out[i]);
    }
    EXPECT_NEAR(of_gains, wanted, 1e-4 * static_cast<double>(count));
  }
}

}  // namespace
}  // namespace wattle::cuda
