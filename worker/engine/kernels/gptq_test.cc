// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Error compensation on problems with a known answer, and on inputs like those of a real layer,
// where few directions dominate.
#include "worker/engine/kernels/gptq.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::kernels {
namespace {

using testing::HasSubstr;

constexpr int64_t kGptqRows = 40;
constexpr int64_t kGptqColumns = 128;

// Rows of inputs that are mixtures of a few fixed directions, and some noise.
std::vector<float> CorrelatedInputs(int64_t count, int64_t directions, uint64_t seed) {
  const std::vector<float> mixing = NormalValues(directions * kGptqColumns, 100);
  const std::vector<float> hidden = NormalValues(count * directions, seed);
  std::vector<float> inputs = NormalValues(count * kGptqColumns, seed + 1, 0.3F);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < directions; ++k) {
      for (int64_t c = 0; c < kGptqColumns; ++c) {
        inputs[static_cast<size_t>(i * kGptqColumns + c)] +=
            hidden[static_cast<size_t>(i * directions + k)] *
            mixing[static_cast<size_t>(k * kGptqColumns + c)];
      }
    }
  }
  return inputs;
}

struct Rounded {
  std::vector<int8_t> codes;
  std::vector<GroupScale> scales;
  std::vector<float> weights;
};

Rounded Decode(const WeightMatrix& shape, std::vector<int8_t> codes,
               std::vector<GroupScale> scales) {
  const GroupCodec& codec = *OperationsOf(shape.format.scheme).codec;
  Rounded out{std::move(codes), std::move(scales), {}};
  const auto group = static_cast<size_t>(GroupColumns(shape));
  for (size_t i = 0; i < out.codes.size(); ++i) {
    out.weights.push_back(codec.decode(out.codes[i], out.scales[i / group]));
  }
  return out;
}

Rounded Compensated(const WeightMatrix& shape, const std::vector<float>& weights,
                    const InputHessian& hessian, const GptqSettings& settings = {}) {
  ThreadPool pool(2);
  std::vector<int8_t> codes(weights.size());
  std::vector<GroupScale> scales(static_cast<size_t>(shape.rows * GroupsOfRow(shape)));
  const absl::Status status = RoundWithCompensation(shape, weights.data(), hessian, settings, pool,
                                                    absl::MakeSpan(codes), absl::MakeSpan(scales));
  EXPECT_TRUE(status.ok()) << status;
  return Decode(shape, std::move(codes), std::move(scales));
}

Rounded Nearest(const WeightMatrix& shape, const std::vector<float>& weights) {
  std::vector<int8_t> codes(weights.size());
  std::vector<GroupScale> scales(static_cast<size_t>(shape.rows * GroupsOfRow(shape)));
  RoundToNearest(shape, weights.data(), absl::MakeSpan(codes), absl::MakeSpan(scales));
  return Decode(shape, std::move(codes), std::move(scales));
}

InputHessian HessianOf(const std::vector<float>& inputs) {
  ThreadPool pool(2);
  InputHessian hessian(kGptqColumns);
  const auto rows = static_cast<int64_t>(inputs.size()) / kGptqColumns;
  hessian.Add(inputs.data(), rows / 3, pool);
  hessian.Add(inputs.data() + rows / 3 * kGptqColumns, rows - rows / 3, pool);
  return hessian;
}

TEST(InputHessianTest, IsTheSumOfOuterProducts) {
  const std::vector<float> inputs = CorrelatedInputs(50, 4, 1);
  const InputHessian hessian = HessianOf(inputs);
  EXPECT_EQ(hessian.rows_seen(), 50);
  for (const auto& [i, j] : {std::pair<int64_t, int64_t>{0, 0}, {3, 127}, {127, 3}, {64, 63}}) {
    double wanted = 0.0;
    for (int64_t row = 0; row < 50; ++row) {
      wanted += static_cast<double>(inputs[static_cast<size_t>(row * kGptqColumns + i)]) *
                static_cast<double>(inputs[static_cast<size_t>(row * kGptqColumns + j)]);
    }
    EXPECT_NEAR(hessian.at(i, j), wanted, 1e-9 * std::fabs(wanted) + 1e-9);
  }
}

TEST(InputHessianTest, ProductsOfOthersAddUp) {
  const std::vector<float> inputs = CorrelatedInputs(50, 4, 1);
  const InputHessian plain = HessianOf(inputs);
  std::vector<float> products(kGptqColumns * kGptqColumns);
  for (int64_t i = 0; i < kGptqColumns; ++i) {
    for (int64_t j = 0; j < kGptqColumns; ++j) {
      products[static_cast<size_t>(i * kGptqColumns + j)] = static_cast<float>(plain.at(i, j));
    }
  }
  InputHessian twice(kGptqColumns);
  twice.AddProducts(products.data(), 20);
  twice.AddProducts(products.data(), 30);
  EXPECT_EQ(twice.rows_seen(), 50);
  for (const auto& [i, j] : {std::pair<int64_t, int64_t>{0, 0}, {3, 127}, {127, 3}, {64, 63}}) {
    EXPECT_NEAR(twice.at(i, j), 2.0 * plain.at(i, j), 1e-5 * std::fabs(plain.at(i, i)));
  }
}

TEST(InputHessianTest, DividedColumnsAreThoseOfDividedInputs) {
  std::vector<float> inputs = CorrelatedInputs(50, 4, 1);
  InputHessian divided = HessianOf(inputs);
  std::vector<float> factors(kGptqColumns);
  for (size_t c = 0; c < factors.size(); ++c) {
    factors[c] = c % 2 == 0 ? 4.0F : 0.5F;
  }
  divided.DivideColumns(factors);
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] /= factors[i % kGptqColumns];
  }
  const InputHessian wanted = HessianOf(inputs);
  for (const auto& [i, j] : {std::pair<int64_t, int64_t>{0, 0}, {3, 127}, {126, 4}}) {
    EXPECT_NEAR(divided.at(i, j), wanted.at(i, j), 1e-9 * std::fabs(wanted.at(i, j)));
  }
}

TEST(ProductErrorTest, IsTheSquaredChangeOfTheProducts) {
  const std::vector<float> inputs = CorrelatedInputs(20, 3, 2);
  const std::vector<float> a = NormalValues(2 * kGptqColumns, 3);
  const std::vector<float> b = NormalValues(2 * kGptqColumns, 4);
  double wanted = 0.0;
  for (int64_t i = 0; i < 20; ++i) {
    for (int64_t r = 0; r < 2; ++r) {
      double change = 0.0;
      for (int64_t c = 0; c < kGptqColumns; ++c) {
        change += static_cast<double>(inputs[static_cast<size_t>(i * kGptqColumns + c)]) *
                  (static_cast<double>(a[static_cast<size_t>(r * kGptqColumns + c)]) -
                   static_cast<double>(b[static_cast<size_t>(r * kGptqColumns + c)]));
      }
      wanted += change * change;
    }
  }
  EXPECT_NEAR(ProductError(a.data(), b.data(), 2, HessianOf(inputs)), wanted, 1e-6 * wanted);
}

class GptqTest : public testing::TestWithParam<WeightFormat> {};

std::vector<WeightFormat> CodedFormats() {
  std::vector<WeightFormat> formats = EveryFormat();
  std::erase_if(formats,
                [](WeightFormat format) { return OperationsOf(format.scheme).codec == nullptr; });
  return formats;
}

INSTANTIATE_TEST_SUITE_P(CodedFormats, GptqTest, testing::ValuesIn(CodedFormats()),
                         [](const testing::TestParamInfo<WeightFormat>& param) {
                           return NameForTest(param.param);
                         });

TEST_P(GptqTest, RemovesMostOfTheErrorOnCorrelatedInputs) {
  const WeightMatrix shape{.format = GetParam(), .rows = kGptqRows, .columns = kGptqColumns};
  const std::vector<float> weights = NormalValues(kGptqRows * kGptqColumns, 5);
  const InputHessian hessian = HessianOf(CorrelatedInputs(600, 12, 6));
  // Measured on other inputs of the same kind: the gain must generalize.
  const InputHessian other = HessianOf(CorrelatedInputs(600, 12, 60));
  const double nearest =
      ProductError(weights.data(), Nearest(shape, weights).weights.data(), kGptqRows, other);
  const double compensated = ProductError(
      weights.data(), Compensated(shape, weights, hessian).weights.data(), kGptqRows, other);
  EXPECT_LT(compensated, 0.4 * nearest);
}

TEST_P(GptqTest, WithIndependentInputsAndNoScaleTrialItRoundsToTheNearest) {
  const WeightMatrix shape{.format = GetParam(), .rows = kGptqRows, .columns = kGptqColumns};
  const std::vector<float> weights = NormalValues(kGptqRows * kGptqColumns, 7);
  // One input per column, and nothing else: H is a multiple of the identity.
  std::vector<float> inputs(kGptqColumns * kGptqColumns, 0.0F);
  for (int64_t c = 0; c < kGptqColumns; ++c) {
    inputs[static_cast<size_t>(c * kGptqColumns + c)] = 2.0F;
  }
  const Rounded compensated = Compensated(shape, weights, HessianOf(inputs), {.least_scale = 1.0});
  EXPECT_EQ(compensated.codes, Nearest(shape, weights).codes);
}

TEST_P(GptqTest, ScaleTrialsDoNotRaiseTheError) {
  const WeightMatrix shape{.format = GetParam(), .rows = kGptqRows, .columns = kGptqColumns};
  const std::vector<float> weights = NormalValues(kGptqRows * kGptqColumns, 8);
  std::vector<float> inputs(kGptqColumns * kGptqColumns, 0.0F);
  for (int64_t c = 0; c < kGptqColumns; ++c) {
    inputs[static_cast<size_t>(c * kGptqColumns + c)] = 1.0F + static_cast<float>(c % 7);
  }
  const InputHessian hessian = HessianOf(inputs);
  const double with = ProductError(
      weights.data(), Compensated(shape, weights, hessian).weights.data(), kGptqRows, hessian);
  const double without = ProductError(
      weights.data(), Compensated(shape, weights, hessian, {.least_scale = 1.0}).weights.data(),
      kGptqRows, hessian);
  EXPECT_LE(with, without);
}

TEST(GptqErrorsTest, SaysWhatIsMissing) {
  ThreadPool pool(1);
  const WeightMatrix shape{.format = {WeightScheme::kInt4, 32}, .rows = 1, .columns = kGptqColumns};
  const std::vector<float> weights = NormalValues(kGptqColumns, 9);
  std::vector<int8_t> codes(kGptqColumns);
  std::vector<GroupScale> scales(4);
  const auto round = [&](const InputHessian& hessian, const GptqSettings& settings) {
    return RoundWithCompensation(shape, weights.data(), hessian, settings, pool,
                                 absl::MakeSpan(codes), absl::MakeSpan(scales));
  };
  EXPECT_THAT(round(InputHessian(kGptqColumns), {}).message(),
              HasSubstr("longer calibration text"));
  EXPECT_THAT(round(InputHessian(64), {}).message(), HasSubstr("64 columns"));
  // One row of inputs spans one direction: without damping the factorization fails.
  InputHessian thin(kGptqColumns);
  thin.Add(weights.data(), 1, pool);
  EXPECT_EQ(round(thin, {.damping = 0.0}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(round(thin, {}).ok());
}

TEST(EvenOutColumnsTest, UndoesAFunctionPreservingRescaling) {
  std::vector<float> inputs = {1.0F, 2.0F, 0.5F, 3.0F, 0.0F};
  std::vector<float> weights = {0.1F, 0.2F, 0.3F, 0.1F, 0.2F};
  std::vector<float> before(5);
  EvenOutColumns(inputs, weights, absl::MakeSpan(before));
  // The same function with an outlier channel: gain 50 times up, weights 50 times down.
  inputs[2] *= 50.0F;
  weights[2] /= 50.0F;
  std::vector<float> after(5);
  EvenOutColumns(inputs, weights, absl::MakeSpan(after));
  for (size_t c = 0; c < 4; ++c) {
    const float undo = c == 2 ? 50.0F : 1.0F;
    // Except for the common factor that keeps the mean at 1.
    EXPECT_NEAR(after[c] / after[0], undo * before[c] / before[0], 1e-3F * after[c] / after[0]);
    EXPECT_NEAR(inputs[c] / after[c] * (weights[c] * after[c]), inputs[c] * weights[c], 1e-5);
  }
  EXPECT_EQ(after[4], 1.0F);
}

}  // namespace
}  // namespace wattle::kernels
