// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/optimizer_state.h"

#include "gtest/gtest.h"

namespace wattle::models {
namespace {

TEST(OptimizerStateTest, BytesOfAMatrixAndOfSmallTensors) {
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_ADAMW, {768, 3072}), 2LL * 768 * 3072 * 4);
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_UNSPECIFIED, {10}), 80);
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_ADAMW_8BIT, {768, 3072}),
            2LL * (768 * 3072 + 768 * 3072 / 256 * 4));
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_ADAMW_8BIT, {41, 103}), 2 * (41 * 103 + 17 * 4));
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_ADAMW_8BIT, {4095}), 2 * 4095 * 4);  // too small
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_ADAMW_8BIT, {4096}), 2 * (4096 + 16 * 4));
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_ADAFACTOR, {768, 3072}), (768 + 3072) * 4);
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_ADAFACTOR, {768}), 768 * 4);
  EXPECT_EQ(OptimizerBytes(v1::OPTIMIZER_MEZO, {768, 3072}), 0);
}

}  // namespace
}  // namespace wattle::models
