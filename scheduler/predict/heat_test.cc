// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/heat.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "policy/burst_power.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

// 25 °C of air, 3 W idle: 7 K/W within 900 s.
v1::Device WarmBoard(double throttle_celsius = 82.5) {
  v1::Device device;
  v1::Heartbeat& heartbeat = *device.mutable_heartbeat();
  heartbeat.set_idle_power_watts(3);
  v1::HeatModel& heat = *heartbeat.mutable_heat_model();
  heat.set_ambient_celsius(25);
  heat.set_throttle_celsius(throttle_celsius);
  v1::HeatStage& stage = *heat.add_stages();
  stage.set_kelvin_per_watt(7);
  stage.set_time_constant_seconds(900);
  heartbeat.set_has_temperature(true);
  heartbeat.set_temperature_celsius(25 + 3 * 7);
  return device;
}

v1::Prediction CoolRun(double seconds, double watts) {
  v1::Prediction run;
  for (const auto& [interval, factor] : {std::pair(run.mutable_run_seconds(), 1.0),
                                         std::pair(run.mutable_run_energy_joules(), watts)}) {
    interval->set_mean(seconds * factor);
    interval->set_low(0.9 * seconds * factor);
    interval->set_high(1.1 * seconds * factor);
  }
  run.set_mean_power_watts(watts);
  run.set_idle_known(true);
  run.set_idle_power_watts(3);
  run.set_net_energy_joules((watts - 3) * seconds);
  run.set_evaluate_seconds(60);
  run.set_provenance_note("measured");
  return run;
}

// The truth, second by second: full speed below the limit, else the speed that holds the limit.
double SimulatedSeconds(const v1::HeatModel& heat, double limit, HeatRises rises, double watts,
                        double idle, double cool_seconds) {
  constexpr double kStep = 0.25;
  double done = 0.0;
  double at = 0.0;
  while (done < cool_seconds) {
    double others = 0.0;  // The rises after this step without watts.
    double gain = 0.0;
    for (int i = 0; i < heat.stages_size(); ++i) {
      const double kept = std::exp(-kStep / heat.stages(i).time_constant_seconds());
      others += rises[static_cast<size_t>(i)] * kept;
      gain += heat.stages(i).kelvin_per_watt() * (1 - kept);
    }
    const double holding = (limit - heat.ambient_celsius() - others) / gain;
    const double power = std::clamp(holding, idle + 0.05 * (watts - idle), watts);
    for (int i = 0; i < heat.stages_size(); ++i) {
      const double kept = std::exp(-kStep / heat.stages(i).time_constant_seconds());
      double& rise = rises[static_cast<size_t>(i)];
      rise = rise * kept + heat.stages(i).kelvin_per_watt() * power * (1 - kept);
    }
    done += kStep * (power - idle) / (watts - idle);
    at += kStep;
  }
  return at;
}

std::optional<HotRun> HotRunOn(const v1::Device& device, const v1::Prediction& run,
                               std::optional<Celsius> guard = std::nullopt, double rows = 0) {
  return HotRunOf(device, HeatLimitOf(device, guard), run, rows);
}

TEST(HeatTest, ABoardThatStaysCoolHasNoHotRun) {
  EXPECT_FALSE(HotRunOn(WarmBoard(), CoolRun(7200, 7.8)));
  EXPECT_TRUE(HotRunOn(WarmBoard(), CoolRun(7200, 8.0)));
  EXPECT_FALSE(HotRunOn(WarmBoard(0), CoolRun(7200, 20)));
  v1::Device unknown = WarmBoard();
  unknown.mutable_heartbeat()->clear_heat_model();
  EXPECT_FALSE(HotRunOn(unknown, CoolRun(7200, 20), Celsius(50)));
}

TEST(HeatTest, TheLowerLimitCounts) {
  EXPECT_EQ(HeatLimitOf(WarmBoard(), std::nullopt)->temperature, Celsius(80));
  EXPECT_FALSE(HeatLimitOf(WarmBoard(), std::nullopt)->by_guard);
  EXPECT_EQ(HeatLimitOf(WarmBoard(), Celsius(60))->temperature, Celsius(57.5));
  EXPECT_TRUE(HeatLimitOf(WarmBoard(), Celsius(60))->by_guard);
  EXPECT_FALSE(HeatLimitOf(WarmBoard(), Celsius(95))->by_guard);
  EXPECT_FALSE(HeatLimitOf(WarmBoard(0), std::nullopt));
}

TEST(HeatTest, ALongRunGoesOnAtTheWattsThatHoldTheLimit) {
  const v1::Device board = WarmBoard();
  const v1::Prediction cool = CoolRun(100 * 3600, 12);
  const std::optional<HotRun> hot = HotRunOn(board, cool);
  ASSERT_TRUE(hot);
  const v1::Prediction run = Stretched(*hot, cool, HeatNow(board, hot->limit, kNow));
  // 55 K / 7 K/W = 7.86 W hold 80 °C: 4.86 of 9 W above idle.
  EXPECT_NEAR(run.heat_stretch_ratio(), 9 / 4.857, 0.02);
  EXPECT_NEAR(run.run_seconds().mean(), run.heat_stretch_ratio() * 100 * 3600, 1);
  EXPECT_GT(run.run_seconds().high(), 1.09 * run.run_seconds().mean());
  EXPECT_NEAR(run.evaluate_seconds(), 60 * run.heat_stretch_ratio(), 1e-9);
  // The joules above idle are those of the work.
  EXPECT_EQ(run.net_energy_joules(), cool.net_energy_joules());
  EXPECT_NEAR(run.run_energy_joules().mean() - 3 * run.run_seconds().mean(),
              run.net_energy_joules(), 1);
  EXPECT_NEAR(run.mean_power_watts() * run.run_seconds().mean(), run.run_energy_joules().mean(), 1);
  EXPECT_NEAR(policy::BurstPower(run).value(), 12, 1e-6);
  EXPECT_THAT(run.provenance_note(),
              HasSubstr("measured; takes 1.9 times as long: the board holds 82 °C at 7.86 W and "
                        "would draw 12.00 W"));
}

TEST(HeatTest, AShortRunOnACoolBoardIsOverBeforeItIsHot) {
  v1::Device board = WarmBoard();
  const v1::Prediction cool = CoolRun(600, 12);
  const std::optional<HotRun> hot = HotRunOn(board, cool);
  ASSERT_TRUE(hot);
  EXPECT_EQ(Stretched(*hot, cool, HeatNow(board, hot->limit, kNow)).heat_stretch_ratio(), 0);
  EXPECT_EQ(Stretched(*hot, cool, HeatNow(board, hot->limit, kNow)).SerializeAsString(),
            cool.SerializeAsString());
  board.mutable_heartbeat()->set_temperature_celsius(79);
  EXPECT_GT(Stretched(*hot, cool, HeatNow(board, hot->limit, kNow)).heat_stretch_ratio(), 1.5);
}

TEST(HeatTest, DrawnBoardsTakeAsLongAsASimulationOfThem) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto between = [&random](double low, double high) {
      return low + (high - low) * static_cast<double>(random() >> 11) * 0x1.0p-53;
    };
    v1::Device board = WarmBoard(between(70, 95));
    v1::HeatModel& heat = *board.mutable_heartbeat()->mutable_heat_model();
    heat.set_ambient_celsius(between(5, 40));
    heat.mutable_stages(0)->set_kelvin_per_watt(between(1, 8));
    heat.mutable_stages(0)->set_time_constant_seconds(between(60, 1500));
    if (seed % 2 == 0) {
      heat.mutable_stages(0)->set_time_constant_seconds(between(10, 60));
      heat.add_stages()->set_kelvin_per_watt(between(1, 6));
      heat.mutable_stages(1)->set_time_constant_seconds(between(300, 2000));
    }
    board.mutable_heartbeat()->set_temperature_celsius(heat.ambient_celsius() + between(0, 40));
    const v1::Prediction cool = CoolRun(between(300, 20000), between(6, 20));
    const std::optional<HotRun> hot = HotRunOn(board, cool);
    if (!hot) {
      continue;
    }
    const BoardHeat begin = HeatNow(board, hot->limit, kNow);
    const double truth = SimulatedSeconds(heat, hot->limit.temperature.value(), begin.rises,
                                          cool.mean_power_watts(), 3, cool.run_seconds().mean());
    EXPECT_NEAR(Stretched(*hot, cool, begin).run_seconds().mean() / truth, 1, 0.02);
  }
}

TEST(HeatTest, RowsOfThrottledRunsAreNotStretchedAgain) {
  EXPECT_TRUE(HotRunOn(WarmBoard(), CoolRun(7200, 12), std::nullopt, 79.9));
  EXPECT_FALSE(HotRunOn(WarmBoard(), CoolRun(7200, 12), std::nullopt, 80));
  // A guard's pauses are no part of a run, so they are in no row.
  EXPECT_TRUE(HotRunOn(WarmBoard(), CoolRun(7200, 12), Celsius(60), 80));
}

TEST(HeatTest, HeatComesAndGoesOverAPlan) {
  v1::Device board = WarmBoard();
  const std::optional<HeatLimit> limit = HeatLimitOf(board, std::nullopt);
  const BoardHeat now = HeatNow(board, limit, kNow);
  EXPECT_NEAR(now.rises[0], 21, 1e-9);
  const BoardHeat warm = HeatAfter(board, now, Watts(7), kNow + absl::Seconds(900));
  EXPECT_NEAR(warm.rises[0], 49 - 28 * std::exp(-1.0), 1e-6);
  EXPECT_EQ(warm.at, kNow + absl::Seconds(900));
  // The limit holds.
  EXPECT_NEAR(HeatAfter(board, now, Watts(12), kNow + absl::Hours(9)).rises[0], 55, 1e-6);
  EXPECT_NEAR(HeatAfter(board, warm, Watts(3), kNow + absl::Hours(9)).rises[0], 21, 1e-3);
  // A device second of an emulated board is shorter.
  board.mutable_info()->set_time_scale(0.01);
  EXPECT_NEAR(HeatAfter(board, now, Watts(7), kNow + absl::Seconds(9)).rises[0], warm.rises[0],
              1e-6);
}

// The fast stage follows the watts; the slow stage has the rest of the temperature.
TEST(HeatTest, TheTemperatureOfTwoStagesIsSplitByTheWatts) {
  v1::Device board = WarmBoard();
  v1::Heartbeat& heartbeat = *board.mutable_heartbeat();
  heartbeat.mutable_heat_model()->mutable_stages(0)->set_kelvin_per_watt(2);
  heartbeat.mutable_heat_model()->mutable_stages(0)->set_time_constant_seconds(20);
  heartbeat.mutable_heat_model()->add_stages()->set_kelvin_per_watt(5);
  heartbeat.mutable_heat_model()->mutable_stages(1)->set_time_constant_seconds(900);
  heartbeat.set_has_power(true);
  heartbeat.set_power_watts(10);
  heartbeat.set_temperature_celsius(65);
  EXPECT_THAT(HeatNow(board, std::nullopt, kNow).rises, testing::ElementsAre(20.0, 20.0));
  heartbeat.set_temperature_celsius(35);
  EXPECT_THAT(HeatNow(board, std::nullopt, kNow).rises, testing::ElementsAre(10.0, 0.0));
  heartbeat.set_has_temperature(false);
  EXPECT_THAT(HeatNow(board, std::nullopt, kNow).rises, testing::ElementsAre(20.0, 50.0));
}

}  // namespace
}  // namespace wattle::scheduler
