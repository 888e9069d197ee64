// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::IsEmpty;

void WriteOrin(Tree& tree) {
  tree.Write("/sys/class/thermal/cooling_device0", {{"type", "pwm-fan"}, {"cur_state", "3"}});
  tree.Write("/sys/class/thermal/cooling_device1",
             {{"type", "cpu-throttle-alert"}, {"cur_state", "0"}});
  tree.Write("/sys/class/thermal/cooling_device2",
             {{"type", "gpu-throttle-alert"}, {"cur_state", "0"}});
  tree.Write("/sys/class/hwmon/hwmon2", {{"name", "soctherm_oc"},
                                         {"oc1_event_cnt", "0"},
                                         {"oc2_event_cnt", "2"},
                                         {"oc3_event_cnt", "27390"}});
}

std::optional<bool> Throttled(Source& source) {
  const auto readings = source.Poll(Monotonic());
  EXPECT_THAT(readings, IsOk());
  for (const Reading& reading : *readings) {
    if (const auto* throttling = std::get_if<Throttling>(&reading.value)) {
      return throttling->now;
    }
  }
  return std::nullopt;
}

TEST(ThrottleAlertsTest, AnyAlertIsThrottlingAndTheFanIsNone) {
  Tree tree;
  WriteOrin(tree);
  const auto source = Only(Discover("throttle_alerts", tree.root()));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(Throttled(*source), false);
  tree.Write("/sys/class/thermal/cooling_device2", {{"cur_state", "1"}});
  EXPECT_EQ(Throttled(*source), true);
}

TEST(ThrottleAlertsTest, AnAlertWithoutAValueIsNoDenial) {
  Tree tree;
  WriteOrin(tree);
  const auto source = Only(Discover("throttle_alerts", tree.root()));
  tree.Write("/sys/class/thermal/cooling_device1", {{"cur_state", ""}});
  EXPECT_EQ(Throttled(*source), std::nullopt);
  tree.Write("/sys/class/thermal/cooling_device2", {{"cur_state", "1"}});
  EXPECT_EQ(Throttled(*source), true);
}

TEST(ThrottleAlertsTest, EventsAreCountedAndAreNoThrottling) {
  Tree tree;
  tree.Write("/sys/class/hwmon/hwmon2", {{"name", "soctherm_oc"}, {"oc3_event_cnt", "27390"}});
  const auto source = Only(Discover("throttle_alerts", tree.root()));
  const auto readings = source->Poll(Monotonic());
  ASSERT_THAT(readings, IsOk());
  ASSERT_EQ(readings->size(), 1U);
  EXPECT_EQ(source->info().channels[0].name, "instantaneous_over_current");
  EXPECT_EQ(std::get<Tally>(readings->at(0).value).value, 27390);
  tree.Write("/sys/class/hwmon/hwmon2", {{"oc3_event_cnt", "2739x"}});
  EXPECT_THAT(source->Poll(Monotonic()), StatusIs(StatusCode::kUnavailable, HasSubstr("alert")));
}

TEST(ThrottleAlertsTest, OtherBoardsHaveNone) {
  Tree tree;
  tree.Write("/sys/class/thermal/cooling_device0", {{"type", "Processor"}, {"cur_state", "0"}});
  EXPECT_THAT(Discover("throttle_alerts", tree.root()), IsEmpty());
}

}  // namespace
}  // namespace wattle::telemetry
