// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/loss_rows.h"

#include "gtest/gtest.h"

namespace wattle::models {
namespace {

TEST(LossRowsTest, ALargerVocabularyHasFewerRowsAtOnce) {
  EXPECT_EQ(LossRowsOfBackward(257, /*checkpointing=*/false), 512);
  EXPECT_EQ(LossRowsOfBackward(50257, /*checkpointing=*/false), 512);
  EXPECT_EQ(LossRowsOfBackward(100352, /*checkpointing=*/false), 320);
  EXPECT_EQ(LossRowsOfBackward(256000, /*checkpointing=*/false), kLossRows);
}

TEST(LossRowsTest, CheckpointingTakesNoMoreThanALossAlone) {
  EXPECT_EQ(LossRowsOfBackward(257, /*checkpointing=*/true), kLossRows);
}

}  // namespace
}  // namespace wattle::models
