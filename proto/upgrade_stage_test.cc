// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/upgrade_stage.h"

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(UpgradeStageTest, AShareIsAPercentage) {
  const auto stage = ParseUpgradeStage("20%");
  ASSERT_TRUE(stage.ok()) << stage.status();
  EXPECT_DOUBLE_EQ(stage->fleet_ratio(), 0.2);
  EXPECT_EQ(stage->labels_size(), 0);
  EXPECT_EQ(StageText(*stage), "20%");
}

TEST(UpgradeStageTest, LabelsAreKeysWithOrWithoutAValue) {
  EXPECT_EQ(StageText(*ParseUpgradeStage("label=canary")), "canary");
  EXPECT_EQ(StageText(*ParseUpgradeStage("label=site=mast")), "site=mast");
  const auto stage = ParseUpgradeStage("class=jetson-orin-nano+site=mast");
  ASSERT_TRUE(stage.ok()) << stage.status();
  ASSERT_EQ(stage->labels_size(), 2);
  EXPECT_EQ(stage->labels(1).key(), "site");
  EXPECT_EQ(stage->labels(1).value(), "mast");
  EXPECT_EQ(stage->fleet_ratio(), 0);
  EXPECT_EQ(StageText(*stage), "class=jetson-orin-nano+site=mast");
}

TEST(UpgradeStageTest, OtherTextsAreRefused) {
  for (const char* text : {"", "0%", "101%", "-5%", "x%", "nan%", "=mast", "label=", "a=b+"}) {
    EXPECT_FALSE(ParseUpgradeStage(text).ok()) << text;
  }
}

}  // namespace
}  // namespace wattle
