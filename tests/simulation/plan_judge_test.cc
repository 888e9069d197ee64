// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The plans of a scenario that break a rule.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/simulation/scenario_for_test.h"

namespace wattle::sim {
namespace {

using testing::HasSubstr;

// Two boards may not work at once. `fastest` plans each job separately.
TEST(PlanJudgeTest, PlansThatBreakARuleAreCounted) {
  const std::string text = R"(
duration: 6h
fleet:
  - {name: mast, class: jetson-orin-nano, count: 2}
fleet_policies:
  - {name: supply, power_group: {name: north, power_cap_watts: 18}}
data: {questions: {examples: 400}}
jobs:
  - {name: tune, count: 2, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
)";
  const RunFigures fastest = FiguresOf(text, "fastest");
  EXPECT_GT(fastest[Figure::kPlanBreaches], 0);
  EXPECT_THAT(fastest.plan_breach, HasSubstr("power_cap"));
  const RunFigures ours = FiguresOf(text);
  EXPECT_EQ(ours[Figure::kPlanBreaches], 0) << ours.plan_breach;
  EXPECT_EQ(ours[Figure::kDone], 2);
}

}  // namespace
}  // namespace wattle::sim
