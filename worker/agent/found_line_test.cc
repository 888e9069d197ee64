// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/found_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

SourceStatus Sensor(const std::string& name, bool measures_power, bool is_thermometer) {
  SourceStatus sensor;
  sensor.info.name = name;
  sensor.info.channels.push_back({.name = "a", .in_total = measures_power});
  sensor.info.channels.push_back({.name = "b", .thermometer = is_thermometer});
  return sensor;
}

TEST(FoundLineTest, NamesBoardSensorsAndRunner) {
  v1::DeviceInfo info;
  info.set_board("Raspberry Pi 5 Model B");
  info.set_device_class("raspberry-pi-5");
  info.set_architecture("aarch64");
  info.set_cores(4);
  info.set_memory_bytes(int64_t{8} << 30);
  EXPECT_EQ(FoundLine(info, {}),
            "found: Raspberry Pi 5 Model B (raspberry-pi-5, aarch64), 4 cores, 8.0 GiB; sensors: "
            "none; runner none");
  info.set_emulated(true);
  info.set_accelerator("cuda");
  info.set_power_mode("15W");
  info.add_power_modes();
  info.add_power_modes();
  info.set_engine_version("wattle-1/libtorch-2");
  EXPECT_EQ(
      FoundLine(info, {Sensor("ina3221", true, false), Sensor("pmic", true, true),
                       Sensor("clock", false, false)}),
      "found: emulated Raspberry Pi 5 Model B (raspberry-pi-5, aarch64), 4 cores, 8.0 GiB, "
      "cuda; sensors: ina3221 (power), pmic (power, temperature); 2 power modes, now 15W; runner "
      "wattle-1/libtorch-2");
}

// An operator of a battery needs to know which sensor reports the charge.
TEST(FoundLineTest, NamesWhatTellsTheCharge) {
  v1::DeviceInfo info;
  info.set_device_class("raspberry-pi-5");
  SourceStatus gauge;
  gauge.info.name = "max17048";
  gauge.info.gauge_error = Fraction(0.15);
  gauge.info.channels.push_back({.name = "capacity", .gauge = true});
  SourceStatus ups = Sensor("ups", true, false);
  ups.info.channels.push_back({.name = "charge", .gauge = true});
  EXPECT_THAT(FoundLine(info, {gauge, ups}),
              testing::HasSubstr("sensors: max17048 (charge ± 15 %), ups (power, charge ± 5 %); "));
  // Without one, the line names no charge.
  EXPECT_THAT(FoundLine(info, {Sensor("ina3221", true, true)}),
              testing::Not(testing::HasSubstr("charge")));
}

}  // namespace
}  // namespace wattle::agent
