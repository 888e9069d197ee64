// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/state_names.h"

#include "gtest/gtest.h"

#include "wattle/v1/energy.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {
namespace {

TEST(StateNamesTest, NamesLoseTheirTypesPrefix) {
  EXPECT_EQ(LowerName(v1::JOB_STATE_ACTIVE), "active");
  EXPECT_EQ(LowerName(v1::ATTEMPT_STATE_SUPERSEDED), "superseded");
  EXPECT_EQ(LowerName(v1::FAILURE_CLASS_DEVICE), "device");
  EXPECT_EQ(LowerName(v1::OBJECTIVE_EDP), "edp");
  EXPECT_EQ(LowerName(v1::METHOD_FINETUNE_FULL), "finetune_full");
}

// Labels of metrics and words of receipts: a new value adds a name, and none may change.
TEST(StateNamesTest, SourcesOfEnergyKeepTheirNames) {
  const char* const names[] = {"unspecified", "ina3221",    "pmic", "power_supply", "rapl",
                               "ina2xx",      "smart_plug", "nvml", "model",        "emulated"};
  int number = 0;
  for (const char* const name : names) {
    EXPECT_EQ(LowerName(static_cast<v1::EnergySource>(number++)), name);
  }
}

TEST(StateNamesTest, AValueOfANewerVersionIsItsNumber) {
  EXPECT_EQ(LowerName(static_cast<v1::JobState>(99)), "99");
}

TEST(StateNamesTest, FinalStates) {
  EXPECT_TRUE(IsTerminal(v1::JOB_STATE_CANCELLED));
  EXPECT_FALSE(IsTerminal(v1::JOB_STATE_ACTIVE));
  EXPECT_TRUE(IsTerminal(v1::ATTEMPT_STATE_SUPERSEDED));
  EXPECT_FALSE(IsTerminal(v1::ATTEMPT_STATE_PAUSED));
}

}  // namespace
}  // namespace wattle
