// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/rate_bounds.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace wattle {
namespace {

// A Raspberry Pi 5.
v1::MeasuredRates Plausible() {
  v1::MeasuredRates rates;
  rates.set_memory_bytes_per_second(12e9);
  rates.set_fp32_flops(60e9);
  rates.set_bf16_flops(30e9);
  rates.set_int8_weights_per_second(9e9);
  rates.set_int4_weights_per_second(14e9);
  return rates;
}

const RatePeaks kPeaks = {.memory_bytes_per_second = 17.1e9, .operations_per_second = 0.62e12};

TEST(RateBoundsTest, ARateThatWasNotMeasuredIsNone) {
  EXPECT_EQ(RateProblem(Plausible()), "");
  EXPECT_EQ(RateProblem(Plausible(), kPeaks), "");
  EXPECT_EQ(RateProblem({}), "no rate was measured");
}

TEST(RateBoundsTest, WhatNoBoardHasIsToldInOneLine) {
  for (const double wrong :
       {std::nan(""), -12e9, 12e6, 17e12, std::numeric_limits<double>::infinity()}) {
    v1::MeasuredRates rates = Plausible();
    rates.set_memory_bytes_per_second(wrong);
    EXPECT_NE(RateProblem(rates), "") << wrong;
  }
  v1::MeasuredRates rates = Plausible();
  rates.set_memory_bytes_per_second(17e12);
  EXPECT_EQ(RateProblem(rates), "memory_bytes_per_second 1.7e+13 is outside 1e+08 to 8e+12");
}

TEST(RateBoundsTest, TheMemoryOfAGpusUseIsBoundedAndIsNoRate) {
  v1::MeasuredRates rates = Plausible();
  rates.set_accelerator_memory_bytes(int64_t{600} << 20);
  EXPECT_EQ(RateProblem(rates), "");
  for (const int64_t wrong : {int64_t{-1}, int64_t{9} << 30}) {
    rates.set_accelerator_memory_bytes(wrong);
    EXPECT_NE(RateProblem(rates), "") << wrong;
  }
  rates.set_accelerator_memory_bytes(0);
  rates.set_card_memory_bytes(int64_t{600} << 20);
  EXPECT_EQ(RateProblem(rates), "");
  for (const int64_t wrong : {int64_t{-1}, int64_t{9} << 30}) {
    rates.set_card_memory_bytes(wrong);
    EXPECT_NE(RateProblem(rates), "") << wrong;
  }
  v1::MeasuredRates alone;
  alone.set_accelerator_memory_bytes(int64_t{600} << 20);
  EXPECT_EQ(RateProblem(alone), "no rate was measured");
}

TEST(RateBoundsTest, EveryRateOffByAThousandIsRefusedOfAKnownBoard) {
  const v1::MeasuredRates good = Plausible();
  const auto* const fields = v1::MeasuredRates::descriptor();
  int changed = 0;
  for (int i = 0; i < fields->field_count(); ++i) {
    const auto* const field = fields->field(i);
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE ||
        good.GetReflection()->GetDouble(good, field) == 0) {
      continue;
    }
    v1::MeasuredRates rates = good;
    rates.GetReflection()->SetDouble(&rates, field,
                                     1000 * good.GetReflection()->GetDouble(good, field));
    EXPECT_NE(RateProblem(rates, kPeaks), "") << field->name();
    ++changed;
  }
  EXPECT_EQ(changed, 5);
}

}  // namespace
}  // namespace wattle
