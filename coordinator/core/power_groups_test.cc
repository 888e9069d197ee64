// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/power_groups.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/fleet_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

v1::Policy GroupPolicy(const std::string& name, const std::string& group, double cap_watts) {
  v1::Policy policy;
  policy.set_name(name);
  policy.mutable_power_group()->set_name(group);
  policy.mutable_power_group()->set_power_cap_watts(cap_watts);
  return policy;
}

absl::Status Apply(Fleet& fleet, const v1::Policy& policy) {
  const Decision decision = Decide(fleet.state, ApplyPolicy{policy}, fleet.observations, Now());
  for (const v1::Event& event : decision.events) {
    Apply(fleet.state, event, Now().monotonic);
  }
  return decision.status;
}

TEST(PowerGroupsTest, OneGroupHasOneCap) {
  Fleet fleet;
  ASSERT_THAT(Apply(fleet, GroupPolicy("a", "mast", 40)), IsOk());
  EXPECT_THAT(Apply(fleet, GroupPolicy("b", "mast", 60)),
              StatusIs(kInvalid, HasSubstr("power group mast has 40 W in policy a and 60 W in "
                                           "policy b; write the cap once")));
  EXPECT_THAT(Apply(fleet, GroupPolicy("b", "mast", 40)), IsOk());
  // A policy may change its own cap where no other one names it.
  Fleet other;
  ASSERT_THAT(Apply(other, GroupPolicy("a", "mast", 40)), IsOk());
  EXPECT_THAT(Apply(other, GroupPolicy("a", "mast", 60)), IsOk());
}

TEST(PowerGroupsTest, ADeviceIsInOneGroup) {
  Fleet fleet;
  ASSERT_THAT(Apply(fleet, GroupPolicy("a", "mast", 40)), IsOk());
  EXPECT_THAT(Apply(fleet, GroupPolicy("b", "hut", 40)),
              StatusIs(kInvalid, HasSubstr("orin would be in two groups, mast (policy a) and hut "
                                           "(policy b); change a selector")));
  v1::Policy elsewhere = GroupPolicy("b", "hut", 40);
  elsewhere.add_selector("site=hut");
  EXPECT_THAT(Apply(fleet, elsewhere), IsOk());
}

TEST(PowerGroupsTest, AGroupSharesSomething) {
  Fleet fleet;
  EXPECT_THAT(Apply(fleet, GroupPolicy("a", "mast", 0)),
              StatusIs(kInvalid, HasSubstr("mast shares nothing")));
  EXPECT_THAT(Apply(fleet, GroupPolicy("a", "", 40)),
              StatusIs(kInvalid, HasSubstr("policy.power_group.name: missing")));
  for (const double cap : {-1.0, 1e6}) {
    EXPECT_THAT(Apply(fleet, GroupPolicy("a", "mast", cap)),
                StatusIs(kInvalid, HasSubstr("valid is 0 to 100000 watts")));
  }
}

TEST(PowerGroupsTest, ACapIsMoreThanItsBoardsDrawWithoutWork) {
  Fleet fleet;
  v1::Hello hello;
  hello.set_incarnation(2);
  *hello.mutable_device() = FindDevice(fleet.state, DeviceId("device-1"))->info();
  hello.mutable_device()->set_idle_power_watts(3);
  Do(fleet.state, fleet.observations, WorkerHello{hello});
  EXPECT_THAT(Apply(fleet, GroupPolicy("a", "mast", 3)),
              StatusIs(kInvalid, HasSubstr("power group mast has a cap of 3 W in policy a, and its "
                                           "1 board draws 3 W without work")));
  EXPECT_THAT(Apply(fleet, GroupPolicy("a", "mast", 3.5)), IsOk());
  v1::Policy elsewhere = GroupPolicy("b", "hut", 1);
  elsewhere.add_selector("site=hut");
  EXPECT_THAT(Apply(fleet, elsewhere), IsOk());
}

TEST(PowerGroupsTest, APlanUnderOtherPoliciesIsHeldToTheSame) {
  Fleet fleet;
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  *request.add_policies() = GroupPolicy("a", "mast", 40);
  *request.add_policies() = GroupPolicy("b", "hut", 40);
  EXPECT_THAT(DryRun(fleet.state, fleet.observations, {}, request, Now()),
              StatusIs(kInvalid, HasSubstr("in two groups")));
}

}  // namespace
}  // namespace wattle::core
