// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/export/device_metrics.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(DeviceMetricsTest, UnknownValuesAreAbsent) {
  v1::DeviceInfo info;
  info.set_name("mast");
  info.set_time_scale(1);
  MetricsPage page;
  AddHeartbeat(info, {}, "model", false, page);
  for (const char* absent :
       {"power_watts", "joules", "charge", "celsius", "idle", "disk_free_bytes"}) {
    EXPECT_THAT(page.Text(), Not(HasSubstr(absent)));
  }
  EXPECT_THAT(page.Text(), HasSubstr("wattle_worker_guard_holding{device=\"mast\""));
}

TEST(DeviceMetricsTest, MeasuredSeriesNameTheirSource) {
  v1::DeviceInfo info;
  info.set_name("mast");
  info.set_device_id("d1");
  info.set_device_class("raspberry-pi-5");
  v1::Heartbeat heartbeat;
  heartbeat.set_has_power(true);
  heartbeat.set_power_watts(4.5);
  heartbeat.set_energy_joules_total(90);
  heartbeat.set_guard_reason("reserve");
  MetricsPage page;
  AddHeartbeat(info, heartbeat, "pmic", true, page);
  const std::string labels =
      "{device=\"mast\",device_id=\"d1\",device_class=\"raspberry-pi-5\",source=\"pmic\","
      "emulated=\"false\"}";
  EXPECT_THAT(page.Text(), HasSubstr("wattle_device_power_watts" + labels + " 4.5\n"));
  EXPECT_THAT(page.Text(), HasSubstr("wattle_device_energy_joules_total" + labels + " 90\n"));
  EXPECT_THAT(page.Text(), HasSubstr("device_class=\"raspberry-pi-5\"} 1\n")) << "guard holds";
}

TEST(DeviceMetricsTest, TheHeatIsShownOnceItIsKnown) {
  v1::Heartbeat heartbeat;
  const auto text = [&heartbeat] {
    MetricsPage page;
    AddHeartbeat(v1::DeviceInfo(), heartbeat, "pmic", true, page);
    return page.Text();
  };
  EXPECT_THAT(text(), testing::Not(HasSubstr("wattle_device_heat")));
  heartbeat.mutable_heat_model()->add_stages()->set_kelvin_per_watt(1.5);
  heartbeat.mutable_heat_model()->add_stages()->set_kelvin_per_watt(4);
  heartbeat.mutable_heat_model()->set_throttle_celsius(80);
  EXPECT_THAT(text(), HasSubstr("device_class=\"\"} 5.5\n"));
  EXPECT_THAT(text(), HasSubstr("device_class=\"\"} 80\n"));
}

}  // namespace
}  // namespace wattle::telemetry
