// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/rates.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/rate_bounds.h"
#include "worker/engine/model_job.h"

namespace wattle::engine {
namespace {

TEST(RatesTest, TheProcessorHasEachOfThem) {
  const auto rates = MeasureRates("cpu");
  ASSERT_THAT(rates, IsOk());
  EXPECT_EQ(RateProblem(*rates), "");
  EXPECT_EQ(rates->engine_version(), EngineVersion());
  for (const double rate :
       {rates->memory_bytes_per_second(), rates->fp32_flops(), rates->bf16_flops(),
        rates->fp16_flops(), rates->int8_weights_per_second(), rates->int4_weights_per_second()}) {
    EXPECT_GT(rate, 0);
  }
  EXPECT_EQ(rates->accelerator_memory_bytes(), 0) << "the processor is no accelerator";
}

TEST(RatesTest, ADeviceThatIsNotThereHasNone) {
  EXPECT_FALSE(MeasureRates("cuda:99").ok());
  EXPECT_FALSE(MeasureRates("tpu").ok());
}

}  // namespace
}  // namespace wattle::engine
