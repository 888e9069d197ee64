// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/stuck.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

Monotonic AtSecond(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}

SourceInfo Ina3221() {
  return {.name = "ina3221", .cadence = absl::Milliseconds(430), .error_floor = Watts(0.08)};
}

SourceInfo Plug() {
  return {.name = "smart_plug", .error_floor = Watts(1), .steady_max = absl::Minutes(1)};
}

// Seconds until the power is stuck; load and the other source's watts by second. -1: never.
template <typename Value, typename LoadAt, typename OtherAt>
double StuckAfter(const SourceInfo& info, double end_seconds, const Value& value,
                  const LoadAt& load, const OtherAt& other) {
  StuckPower watch(info);
  const double cadence = absl::ToDoubleSeconds(info.cadence);
  for (double seconds = cadence; seconds <= end_seconds; seconds += cadence) {
    watch.Add(AtSecond(seconds), {value(seconds)}, load(seconds), other(seconds));
    if (watch.stuck()) {
      return seconds;
    }
  }
  return -1;
}

constexpr auto kNoOther = [](double) { return std::optional<StuckPower::Other>(); };
constexpr auto kFrozen = [](double) { return 5.0; };
constexpr auto kWorkFrom100 = [](double seconds) {
  return seconds >= 100 ? Load::kWork : Load::kRest;
};

TEST(StuckPowerTest, AFrozenRailIsFoundSoonAfterTheLoadChanged) {
  const double found = StuckAfter(Ina3221(), 1000, kFrozen, kWorkFrom100, kNoOther);
  EXPECT_GT(found, 115);
  EXPECT_LT(found, 117);
  const double slow = StuckAfter(Plug(), 1000, kFrozen, kWorkFrom100, kNoOther);
  EXPECT_GE(slow, 160);
  EXPECT_LT(slow, 163);
}

TEST(StuckPowerTest, AFrozenRailIsFoundWhileAnotherSourceMovesByAClearShare) {
  const auto rest = [](double) { return Load::kRest; };
  const auto moves_by = [](double watts) {
    return [watts](double seconds) {
      return std::optional<StuckPower::Other>({1, Watts(seconds < 100 ? 6 : 6 + watts), Watts(1)});
    };
  };
  const double found = StuckAfter(Ina3221(), 1000, kFrozen, rest, moves_by(6));
  EXPECT_GT(found, 114);
  EXPECT_LT(found, 117);
  EXPECT_EQ(StuckAfter(Ina3221(), 1000, kFrozen, rest, moves_by(3)), -1);
}

TEST(StuckPowerTest, WithoutEvidenceAnEqualValueIsNoFault) {
  for (const Load load : {Load::kRest, Load::kWork, Load::kUnknown}) {
    EXPECT_EQ(StuckAfter(
                  Ina3221(), 86400, kFrozen, [load](double) { return load; }, kNoOther),
              -1);
  }
  // Loads that last too short on one side.
  EXPECT_EQ(StuckAfter(
                Ina3221(), 1000, kFrozen,
                [](double seconds) { return seconds > 990 ? Load::kWork : Load::kRest; }, kNoOther),
            -1);
  // A fetch, a start and a checkpoint may draw as much as rest.
  EXPECT_EQ(
      StuckAfter(
          Ina3221(), 1000, kFrozen,
          [](double seconds) { return seconds > 500 ? Load::kUnknown : Load::kRest; }, kNoOther),
      -1);
  // Equal values of a UPS that reports whole percents of 1500 VA are never evidence.
  EXPECT_EQ(
      StuckAfter({.steady_max = absl::InfiniteDuration()}, 1000, kFrozen, kWorkFrom100, kNoOther),
      -1);
}

TEST(StuckPowerTest, TrustReturnsWithTheFirstValueThatMoves) {
  StuckPower watch(Ina3221());
  double seconds = 0;
  for (int i = 0; i < 200; ++i) {
    watch.Add(AtSecond(seconds += 0.43), {5.0}, i < 100 ? Load::kRest : Load::kWork, {});
  }
  EXPECT_TRUE(watch.stuck());
  EXPECT_FALSE(watch.moved());
  EXPECT_NEAR(absl::ToDoubleSeconds(watch.equal_for()), 199 * 0.43, 1e-6);
  watch.Add(AtSecond(seconds += 0.43), {5.001}, Load::kWork, {});
  EXPECT_FALSE(watch.stuck());
  EXPECT_TRUE(watch.moved());
  // A gap is no evidence: the source's values during it are unknown.
  watch.Add(AtSecond(seconds += 3600), {5.001}, Load::kWork, {});
  watch.Add(AtSecond(seconds += 3600), {5.001}, Load::kRest, {});
  watch.Add(AtSecond(seconds += 3600), {5.001}, Load::kRest, {});
  EXPECT_FALSE(watch.stuck());
}

constexpr double kWattHour = 3600;

struct Gauge {
  SourceInfo info{};
  double capacity_wh = 60;
  bool tells_draw = true;
  bool tells_direction = true;
};

// Seconds and share of the capacity that left the battery until a charge of `shown` is stuck. net:
// the flow out of the battery, by second. drawn: the device's draw.
struct Found {
  double seconds = -1;
  double share = 0;
};
template <typename Shown, typename Net>
Found FindStuck(const Gauge& gauge, double end_seconds, const Shown& shown, const Net& net,
                double device_watts) {
  StuckCharge watch(gauge.info);
  double out = 0;
  for (int second = 1; second <= end_seconds; ++second) {
    const double watts = net(second);
    out += watts;
    ChargeState charge;
    charge.state_of_charge = Fraction(shown(out / (gauge.capacity_wh * kWattHour)));
    charge.capacity = FromWattHours(gauge.capacity_wh);
    if (gauge.tells_draw) {
      charge.draw = Watts(watts);
    }
    charge.charging = gauge.tells_direction && watts < 0;
    charge.discharging = gauge.tells_direction && watts > 0;
    watch.Add(AtSecond(second), charge, Joules(device_watts), Load::kWork);
    if (watch.stuck()) {
      return {static_cast<double>(second), out / (gauge.capacity_wh * kWattHour)};
    }
  }
  return {};
}

constexpr auto kStands = [](double) { return 0.77; };

TEST(StuckChargeTest, AFrozenGaugeIsFoundWithin300SecondsAt12WattsOf60WattHours) {
  const auto net = [](double) { return 12.0; };
  const Found by_draw = FindStuck({}, 3600, kStands, net, 0);
  const Found by_meter = FindStuck({.tells_draw = false}, 3600, kStands, net, 12);
  const Found low_meter = FindStuck({.tells_draw = false}, 3600, kStands, net, 0.95 * 12);
  std::printf("60 Wh, 12 W: %.0f s by the draw, %.0f s by the meter, %.0f s by a low meter\n",
              by_draw.seconds, by_meter.seconds, low_meter.seconds);
  for (const Found& found : {by_draw, by_meter, low_meter}) {
    EXPECT_GT(found.seconds, 0);
    EXPECT_LT(found.seconds, 300);
    EXPECT_LT(found.share, 0.0167);
  }
  // The share is equal for a larger pack.
  const Found large = FindStuck({.capacity_wh = 500}, 86400, kStands, net, 0);
  EXPECT_GT(large.seconds, 0);
  EXPECT_LT(large.share, 0.0167);
}

TEST(StuckChargeTest, WithoutItsOwnDrawAPanelMayHaveCarriedMostOfTheLoad) {
  // Seen to charge: from then on the meter's joules count a twelfth.
  const auto net = [](double second) { return second <= 10 ? -5.0 : 12.0; };
  const Found panel = FindStuck({.tells_draw = false}, 36000, kStands, net, 12);
  EXPECT_GT(panel.share, 0.15);
  EXPECT_LT(panel.share, 0.18);
  const Found unknown = FindStuck(
      {.tells_draw = false, .tells_direction = false}, 36000, kStands, [](double) { return 12.0; },
      12);
  EXPECT_GT(unknown.share, 0.15);
  EXPECT_LT(unknown.share, 0.20);
  // The battery is full on a charger, and the gauge does not report charging.
  EXPECT_EQ(FindStuck(
                {.tells_draw = false, .tells_direction = false}, 86400, [](double) { return 1.0; },
                [](double) { return 0.0; }, 12)
                .seconds,
            -1);
}

TEST(StuckChargeTest, HarvestThatBalancesTheLoadIsNoEvidence) {
  const auto balanced = [](double second) { return second / 600 - std::floor(second / 600) - 0.5; };
  EXPECT_EQ(FindStuck({}, 7 * 86400, kStands, balanced, 12).seconds, -1);
  const auto charges = [](double) { return -5.0; };
  EXPECT_EQ(FindStuck(
                {}, 86400, [](double) { return 0.99; }, charges, 12)
                .seconds,
            -1);
  EXPECT_EQ(FindStuck({.tells_draw = false}, 86400, kStands, charges, 12).seconds, -1);
}

TEST(StuckChargeTest, AFullBatteryMayHoldMoreThanItsGaugeShows) {
  const auto net = [](double) { return 12.0; };
  const Found full = FindStuck(
      {}, 36000, [](double) { return 1.0; }, net, 12);
  EXPECT_GT(full.share, 0.064);
  EXPECT_LT(full.share, 0.069);
  EXPECT_EQ(FindStuck(
                {}, 36000, [](double) { return 0.0; }, net, 12)
                .seconds,
            -1);
}

// A gauge whose current freezes while the battery charges reports charging for ever.
TEST(StuckChargeTest, ADrawThatStandsStillWithTheChargeWhileTheLoadChangesIsStuck) {
  StuckCharge watch({});
  ChargeState charge = {
      .state_of_charge = Fraction(0.77), .capacity = FromWattHours(60), .draw = Watts(-8.25)};
  for (int second = 1; second <= 32; ++second) {
    watch.Add(AtSecond(second), charge, Joules(12), second <= 16 ? Load::kRest : Load::kWork);
    EXPECT_EQ(watch.stuck(), second > 31) << second;
  }
  charge.draw = Watts(-8.26);
  watch.Add(AtSecond(33), charge, Joules(12), Load::kWork);
  EXPECT_FALSE(watch.stuck());
}

// Device months of working sensors.
class Months {
 public:
  explicit Months(uint64_t seed) : random_(seed) {}
  double Noise(double sigma) { return std::normal_distribution<double>(0, sigma)(random_); }
  double Uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }

 private:
  std::mt19937_64 random_;
};

constexpr int kDeviceMonths = 1;  // of each sensor
constexpr double kMonthSeconds = 30 * 86400;

// Jobs of a minute to hours with as much rest between them.
class Jobs {
 public:
  explicit Jobs(Months& random) : random_(random) {}
  Load At(double seconds) {
    while (seconds >= next_) {
      next_ += random_.Uniform(60, 7200);
      work_ = !work_;
    }
    return work_ ? Load::kWork : Load::kRest;
  }

 private:
  Months& random_;
  double next_ = 0;
  bool work_ = false;
};

// Returns the alarms of `months` device months; step_watts: the source rounds to it.
int FalseAlarms(const SourceInfo& info, int months, double idle, double work, double sigma,
                double step_watts, double hold_seconds) {
  int alarms = 0;
  for (int month = 0; month < months; ++month) {
    Months random(static_cast<uint64_t>(month) + 1);
    Jobs jobs(random);
    StuckPower watch(info);
    const double cadence = absl::ToDoubleSeconds(info.cadence);
    double told = 0;
    double next = 0;
    bool stuck = false;
    for (double seconds = 0; seconds < kMonthSeconds; seconds += cadence) {
      const Load load = jobs.At(seconds);
      const double power = (load == Load::kWork ? work : idle) + random.Noise(sigma);
      if (seconds >= next) {
        told = step_watts * std::round(power / step_watts);
        next = seconds + hold_seconds;
      }
      watch.Add(AtSecond(seconds), {told}, load,
                StuckPower::Other{1, Watts(power + random.Noise(0.5)), Watts(1)});
      alarms += watch.stuck() && !stuck ? 1 : 0;
      stuck = watch.stuck();
    }
  }
  return alarms;
}

TEST(StuckPowerTest, WorkingSensorsGiveNoAlarmInDeviceMonths) {
  SourceInfo ina = Ina3221();
  ina.cadence = absl::Seconds(1);
  SourceInfo battery = {.steady_max = absl::Minutes(2)};
  struct Row {
    const char* name;
    const SourceInfo& info;
    double idle, work, sigma, step, hold;
  };
  for (const Row& row : {Row{"INA3221, steps of 1 mW", ina, 3.5, 10, 0.02, 0.001, 0},
                         Row{"INA3221, steps of 40 mW", ina, 3.5, 10, 0.005, 0.04, 0},
                         Row{"emulated board without noise", ina, 3.5, 10, 0, 0.001, 0},
                         Row{"plug, whole watts", Plug(), 3.2, 4.3, 0.05, 1, 0},
                         Row{"plug that averages over a minute", Plug(), 3.2, 8, 0.05, 0.1, 60},
                         Row{"battery, a value each minute", battery, 4, 12, 0.05, 0.01, 60}}) {
    const int alarms =
        FalseAlarms(row.info, kDeviceMonths, row.idle, row.work, row.sigma, row.step, row.hold);
    std::printf("%-34s %d device months: %d alarms\n", row.name, kDeviceMonths, alarms);
    EXPECT_EQ(alarms, 0) << row.name;
  }
}

// Gauges of a mast: sun, clouds, jobs. slope: by how much the gauge runs slow here and fast there.
int FalseGaugeAlarms(int months, double step, double slope, bool tells_draw, bool panel) {
  int alarms = 0;
  for (int month = 0; month < months; ++month) {
    Months random(static_cast<uint64_t>(month) + 77);
    Jobs jobs(random);
    const double capacity_wh = random.Uniform(20, 500);
    const double label = random.Uniform(0.9, 1.2);  // actual capacity as a share of the label's
    const double meter = random.Uniform(0.95, 1.05);
    double charge = random.Uniform(0.3, 1.0);
    double cloud = 1;
    bool plugged = false;
    StuckCharge watch({});
    bool stuck = false;
    for (double seconds = 0; seconds < kMonthSeconds; seconds += 2) {
      const Load load = jobs.At(seconds);
      const double device = load == Load::kWork ? 12 : 3;
      if (random.Uniform(0, 1) < 0.01) {
        cloud = random.Uniform(0, 1);
      }
      const double hour = std::fmod(seconds / 3600, 24);
      double sun = panel ? 30 * cloud * std::max(0.0, std::sin((hour - 6) / 12 * M_PI)) : 0;
      // Without a panel a person charges it.
      plugged = charge < 0.2 || (plugged && charge < 0.9);
      sun += !panel && plugged ? 40 : 0;
      const double net = device - sun;
      charge = std::clamp(charge - net * 2 / (capacity_wh * kWattHour), 0.0, 1.0);
      const double bent = charge + slope * 0.1 / (2 * M_PI) * std::sin(2 * M_PI * charge / 0.1);
      const bool full = charge >= 1 && net < 0;
      ChargeState told = {.state_of_charge = Fraction(step * std::round(bent / step)),
                          .capacity = FromWattHours(capacity_wh * label)};
      if (tells_draw) {
        told.draw = full ? Watts(0) : Watts(meter * net + random.Noise(0.02));
      }
      told.charging = net < 0;
      told.discharging = net > 0;
      watch.Add(AtSecond(seconds), told, Joules(meter * device * 2), load);
      alarms += watch.stuck() && !stuck ? 1 : 0;
      stuck = watch.stuck();
    }
  }
  return alarms;
}

TEST(StuckChargeTest, WorkingGaugesGiveNoAlarmInDeviceMonths) {
  struct Row {
    const char* name;
    double step, slope;
    bool tells_draw, panel;
  };
  for (const Row& row : {Row{"whole percents, own draw, panel", 0.01, 0.2, true, true},
                         Row{"whole percents, own draw, carried", 0.01, 0.2, true, false},
                         Row{"steps of 1/256 %, own draw, panel", 0.01 / 256, 0.3, true, true},
                         Row{"steps of 1/256 %, no draw, panel", 0.01 / 256, 0.3, false, true},
                         Row{"whole percents, no draw, panel", 0.01, 0.2, false, true}}) {
    const int alarms =
        FalseGaugeAlarms(kDeviceMonths, row.step, row.slope, row.tells_draw, row.panel);
    std::printf("%-36s %d device months: %d alarms\n", row.name, kDeviceMonths, alarms);
    EXPECT_EQ(alarms, 0) << row.name;
  }
}

}  // namespace
}  // namespace wattle::telemetry
