// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The path of readings to the account, the guard and the metrics, through a core on a disk in
// memory.
#include "worker/agent/core/device_readings.h"

#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/storage/memory_disk.h"

namespace wattle::agent {
namespace {

using telemetry::EnergyCount;
using telemetry::Reading;
using testing::Contains;
using testing::HasSubstr;

class QuietPorts final : public AgentPorts {
 public:
  absl::Status StartRunner(const v1::RunnerTask& /*task*/) override { return absl::OkStatus(); }
  void SendToRunner(const v1::RunnerCommand& /*command*/) override {}
  void KillRunner() override {}
  void StartFetch(const v1::Assignment& /*assignment*/) override {}
  void StartUpload(const std::string& /*directory*/, const v1::ArtifactInfo& /*info*/) override {}
  void ProbeStorage() override {}
  void CancelTransfer() override {}
  void Send(const v1::WorkerMessage& /*message*/) override {}
  void Reconnect() override {}
  void Follow(const std::string& /*coordinator*/) override {}
  void TryNextCoordinator() override {}
  void Note(const std::string& line) override { notes.push_back(line); }
  std::vector<std::string> notes;
};

Monotonic At(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}

telemetry::SourceInfo PowerSource(const std::string& name, int rank) {
  telemetry::SourceInfo info;
  info.name = name;
  info.energy_source = rank < 45 ? v1::ENERGY_SOURCE_POWER_SUPPLY : v1::ENERGY_SOURCE_RAPL;
  info.scope = rank < 45 ? "battery" : "soc_rails";
  info.rank = rank;
  info.channels = {{.name = "a", .in_total = true}};
  return info;
}

class DeviceReadingsTest : public testing::Test {
 protected:
  DeviceReadingsTest() {
    state_ = *StateDirectory::Open(&disk_);
    spool_ = *Spool::Open(&disk_);
    account_ = std::make_unique<EnergyAccount>(telemetry::MeterSettings{}, EnergyOrigin{}, At(0),
                                               v1::EnergyLedger(), telemetry::IdleBaseline());
    CoreSettings settings;
    settings.storage_probe_period = absl::InfiniteDuration();
    settings.guard = {.has_gauge = true, .has_thermometer = true};
    core_ = std::make_unique<AgentCore>(CoreDependencies{.state = state_.get(),
                                                         .spool = spool_.get(),
                                                         .ports = &ports_,
                                                         .account = account_.get(),
                                                         .pace = &pace_,
                                                         .clock = &clock_,
                                                         .time = &time_,
                                                         .kept = {}},
                                        settings);
    readings_ = std::make_unique<DeviceReadings>(core_.get(), account_.get(), &ports_);
  }
  void Power(size_t source, double seconds, double watts) {
    readings_->OnPoll(source, std::vector<Reading>{{0, Watts(watts), At(seconds)}}, At(seconds));
  }
  [[nodiscard]] double Joules() const { return account_->total().value(); }

  MemoryDisk disk_{1};
  QuietPorts ports_;
  RealPace pace_;
  TimeKeeper time_;
  DeviceClock clock_;
  std::unique_ptr<StateDirectory> state_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<EnergyAccount> account_;
  std::unique_ptr<AgentCore> core_;
  std::unique_ptr<DeviceReadings> readings_;
};

// A board measures with its battery's gauge while the battery discharges. The measurement must
// continue when the battery charges.
TEST_F(DeviceReadingsTest, ASourceThatDiesIsReplacedByTheNextBest) {
  const size_t battery = readings_->Add(PowerSource("battery", 40), {});
  const size_t rapl = readings_->Add(PowerSource("rapl", 50), {});
  for (int second = 0; second <= 20; ++second) {
    Power(battery, second, 10);
    Power(rapl, second, 6);
  }
  EXPECT_EQ(account_->origin().source, v1::ENERGY_SOURCE_POWER_SUPPLY);
  EXPECT_NEAR(Joules(), 200, 1e-9);
  for (int second = 21; second <= 40; ++second) {
    readings_->OnPoll(battery, std::vector<Reading>{},
                      At(second));  // charges: no power of the device
    Power(rapl, second, 6);
  }
  EXPECT_EQ(account_->origin().source, v1::ENERGY_SOURCE_RAPL);
  EXPECT_TRUE(readings_->sources()[rapl].is_power_source);
  EXPECT_FALSE(readings_->sources()[battery].is_power_source);
  EXPECT_GT(Joules(), 200 + 6 * 8);
  EXPECT_THAT(ports_.notes, Contains(HasSubstr("rapl instead of battery")));
}

TEST_F(DeviceReadingsTest, APartOfASumGivesNoPower) {
  telemetry::SourceInfo info = PowerSource("ina3221", 10);
  info.channels = {{.name = "a", .in_total = true}, {.name = "b", .in_total = true}, {.name = "c"}};
  const size_t source = readings_->Add(info, {});
  for (int second = 0; second <= 2; ++second) {
    const Monotonic at = At(second);
    readings_->OnPoll(
        source, std::vector<Reading>{{0, Watts(3), at}, {1, Watts(4), at}, {2, Watts(9), at}}, at);
  }
  EXPECT_NEAR(Joules(), 14, 1e-9);
  readings_->OnPoll(source, std::vector<Reading>{{0, Watts(3), At(3)}}, At(3));
  EXPECT_EQ(account_->settled(), At(2));
}

TEST_F(DeviceReadingsTest, CountersOfATotalAreUnwrappedByTheMeter) {
  telemetry::SourceInfo info = PowerSource("rapl", 50);
  info.channels = {{.name = "package-0", .in_total = true}, {.name = "dram", .in_total = true}};
  const size_t source = readings_->Add(info, {});
  auto count = [&](double seconds, double package, double dram) {
    readings_->OnPoll(source,
                      std::vector<Reading>{
                          {0, EnergyCount{wattle::Joules(package), {}}, At(seconds)},
                          {1, EnergyCount{wattle::Joules(dram), wattle::Joules(100)}, At(seconds)}},
                      At(seconds));
  };
  count(0, 4, 98);
  count(1, 5, 99);
  count(2, 12, 2);
  EXPECT_NEAR(Joules(), 7 + 3, 1e-9);
}

TEST_F(DeviceReadingsTest, TheBoardsOwnLimitBoundsPlausiblePower) {
  const size_t source = readings_->Add(PowerSource("ina3221", 10), Watts(150));
  Power(source, 0, 10);
  Power(source, 1, 151);
  Power(source, 2, 10);
  EXPECT_NEAR(Joules(), 20, 1e-9);
  EXPECT_EQ(account_->ledger().implausible_readings(), 1);
}

TEST_F(DeviceReadingsTest, AnAbsurdReadingIsNotedAndASensorThatGoesOnSoDoesNotFloodTheLog) {
  const size_t source = readings_->Add(PowerSource("ina3221", 10), Watts(150));
  Power(source, 0, 10);
  for (int second = 1; second <= 1300; ++second) {
    Power(source, second, second % 2 == 0 ? 10 : std::nan(""));
  }
  const std::string line =
      "sensor ina3221: nan W is nothing that this device can have drawn; it is not counted";
  EXPECT_THAT(ports_.notes, testing::ElementsAre(line, line, line));
  EXPECT_EQ(account_->ledger().implausible_readings(), 650);
  EXPECT_NEAR(Joules(), 13'000, 1e-6);

  const size_t rapl = readings_->Add(PowerSource("rapl", 1), {});
  const auto count = [&](double seconds, double joules) {
    readings_->OnPoll(
        rapl, std::vector<Reading>{{0, EnergyCount{wattle::Joules(joules), {}}, At(seconds)}},
        At(seconds));
  };
  for (int second = 1301; second <= 1330; ++second) {
    count(second, 5000 + second);  // takes over once it has held
  }
  count(1331, 3);  // without a modulus: a reset
  EXPECT_THAT(ports_.notes.back(),
              HasSubstr("sensor rapl: the step of its energy counter is nothing"));
}

TEST_F(DeviceReadingsTest, AnErrorIsNotedOnceAndSoIsItsEnd) {
  const size_t source = readings_->Add(PowerSource("ina3221", 10), {});
  for (int second = 0; second < 3; ++second) {
    readings_->OnPoll(source, absl::UnavailableError("bus busy"), At(second));
  }
  Power(source, 3, 5);
  EXPECT_THAT(ports_.notes,
              testing::ElementsAre("sensor ina3221: bus busy", "sensor ina3221: answers again"));
  EXPECT_EQ(readings_->sources()[source].errors, 3);
}

TEST_F(DeviceReadingsTest, ChargeAndTheHottestZoneOfAllReachTheHeartbeatWithTheirAge) {
  telemetry::SourceInfo zones;
  zones.name = "zones";
  zones.channels = {{.name = "cpu", .thermometer = true}, {.name = "gpu", .thermometer = true}};
  telemetry::SourceInfo gauge;
  gauge.name = "gauge";
  gauge.channels = {{.name = "battery", .gauge = true}};
  const size_t first = readings_->Add(zones, {});
  const size_t second = readings_->Add(gauge, {});
  const size_t third = readings_->Add(zones, {});
  readings_->OnPoll(first, std::vector<Reading>{{0, Celsius(50), At(1)}, {1, Celsius(61), At(1)}},
                    At(1));
  readings_->OnPoll(third, std::vector<Reading>{{0, Celsius(40), At(2)}}, At(2));
  readings_->OnPoll(
      second,
      std::vector<Reading>{{0, telemetry::ChargeState{.state_of_charge = Fraction(0.6)}, At(2)}},
      At(2));
  const v1::Heartbeat heartbeat = core_->MakeHeartbeat(clock_.At(At(5), {}));
  EXPECT_EQ(heartbeat.temperature_celsius(), 61);
  EXPECT_EQ(heartbeat.state_of_charge_ratio(), 0.6);
  EXPECT_EQ(heartbeat.battery_age_seconds(), 3);
  EXPECT_FALSE(core_->MakeHeartbeat(clock_.At(At(33), {})).has_battery());
}

// A power monitor at the battery's terminals ranks before a plug as a source of power, but after a
// fuel gauge as a source of charge, because it guesses the charge from the voltage.
TEST_F(DeviceReadingsTest, AGaugeIsChosenByItsRankAmongGaugesAndNotByThatAmongSourcesOfPower) {
  telemetry::SourceInfo voltage = PowerSource("ina219", 20);
  voltage.channels = {{.name = "battery", .gauge = true}};
  voltage.gauge_rank = 50;
  telemetry::SourceInfo fuel = PowerSource("max1704x", 40);
  fuel.channels = {{.name = "battery", .gauge = true}};
  fuel.gauge_rank = 15;
  const size_t coarse = readings_->Add(voltage, {});
  const size_t fine = readings_->Add(fuel, {});
  for (int second = 1; second <= 30; ++second) {
    for (const auto& [source, charge] : {std::pair(fine, 0.60), std::pair(coarse, 0.63)}) {
      readings_->OnPoll(
          source,
          std::vector<Reading>{
              {0, telemetry::ChargeState{.state_of_charge = Fraction(charge)}, At(second)}},
          At(second));
    }
  }
  const v1::Heartbeat heartbeat = core_->MakeHeartbeat(clock_.At(At(31), {}));
  EXPECT_EQ(heartbeat.state_of_charge_ratio(), 0.60);
}

// A rail that freezes while the device rests: the attempt's work is not learned as a measurement.
TEST_F(DeviceReadingsTest, AFrozenRailLosesTrustWithAChangeOfLoadAndWhatItToldIsTakenBack) {
  const size_t rail = readings_->Add(PowerSource("ina3221", 10), {});
  double seconds = 0;
  const auto poll = [&](int times, double watts, double step) {
    for (int i = 0; i < times; ++i) {
      Power(rail, ++seconds, watts + step * (i % 2));
    }
  };
  poll(60, 3, 0.01);
  account_->BeginAttempt({});
  account_->SetActivity(At(seconds), Activity::kRun);
  poll(60, 12, 0.01);
  const double measured = account_->attempt().run.gross.value();
  EXPECT_NEAR(measured, 12 * 60, 12);
  EXPECT_EQ(account_->attempt().run.Coverage(), Fraction(1));

  // Frozen during work, and accepted while nothing contradicts it.
  poll(200, 12.5, 0);
  EXPECT_EQ(readings_->sources()[rail].stuck_power, "");
  account_->SetActivity(At(seconds), Activity::kPaused);
  const double idle_before = account_->idle().power()->value();
  poll(30, 12.5, 0);
  EXPECT_NE(readings_->sources()[rail].stuck_power, "");
  EXPECT_THAT(ports_.notes, testing::ElementsAre(AllOf(
                                HasSubstr("sensor ina3221: is stuck, and not used until it moves"),
                                HasSubstr("its power stood still for 21"), HasSubstr("; check"))));
  EXPECT_THAT(core_->MakeHeartbeat(clock_.At(At(seconds), {})).guard_warning(),
              HasSubstr("sensor ina3221 is stuck"));
  const telemetry::EnergySpan& run = account_->attempt().run;
  EXPECT_NEAR(run.gross.value(), measured, 13);
  EXPECT_NEAR(absl::ToDoubleSeconds(run.missing), 199, 2);
  EXPECT_NEAR(run.MeanPower().value(), 12, 0.1);
  EXPECT_GE(run.missing_at_most.value(), 12 * 199);
  EXPECT_NEAR(account_->idle().power()->value(), idle_before, 1e-9);
  EXPECT_GE(account_->work_energy().value(), 12 * 255);  // the budget counts the estimate
  const double ledger = Joules();
  EXPECT_NEAR(ledger, 3 * 60 + 12 * 60 + 12.5 * 214, 30);  // never goes back

  poll(30, 12.5, 0);  // not counted: no other source
  EXPECT_EQ(Joules(), ledger);
  account_->AdvanceTo(At(seconds));
  EXPECT_FALSE(account_->power().has_value());
  poll(30, 3, 0.01);
  EXPECT_EQ(readings_->sources()[rail].stuck_power, "");
  EXPECT_THAT(ports_.notes.back(), HasSubstr("ina3221: moves again, and is used again"));
  EXPECT_EQ(core_->MakeHeartbeat(clock_.At(At(seconds), {})).guard_warning(), "");
  EXPECT_NEAR(Joules(), ledger + 3 * 29, 5);
}

TEST_F(DeviceReadingsTest, TheNextSourceTakesOverFromAStuckOne) {
  const size_t rail = readings_->Add(PowerSource("ina3221", 10), {});
  const size_t plug = readings_->Add(PowerSource("plug", 30), {});
  for (int second = 1; second <= 120; ++second) {
    Power(rail, second, 5);
    Power(plug, second, second < 60 ? 6 : 12);
  }
  EXPECT_TRUE(readings_->sources()[plug].is_power_source);
  EXPECT_THAT(ports_.notes, Contains(HasSubstr("energy: measured by plug instead of ina3221")));
  for (int second = 121; second <= 140; ++second) {
    Power(rail, second, 5 + 0.01 * (second % 2));
    Power(plug, second, 12);
  }
  EXPECT_TRUE(readings_->sources()[rail].is_power_source);
}

// Measurements of an attempt from before a restart stay.
TEST_F(DeviceReadingsTest, OnlyWhatTheStuckSourceToldIsTakenBack) {
  const size_t rail = readings_->Add(PowerSource("ina3221", 10), {});
  for (int second = 1; second <= 40; ++second) {
    Power(rail, second, 5);  // frozen from the start
  }
  AttemptEnergy earlier;
  earlier.run.covered = earlier.total.covered = absl::Seconds(100);
  earlier.run.gross = earlier.total.gross = wattle::Joules(1000);
  account_->BeginAttempt(earlier);
  account_->SetActivity(At(40), Activity::kRun);
  for (int second = 41; second <= 80; ++second) {
    Power(rail, second, 5);
  }
  ASSERT_NE(readings_->sources()[rail].stuck_power, "");
  EXPECT_EQ(account_->attempt().run.covered, absl::Seconds(100));
  EXPECT_EQ(account_->attempt().run.gross.value(), 1000);
  EXPECT_NEAR(absl::ToDoubleSeconds(account_->attempt().run.missing), 16, 2);
}

// From the review of the field: 60 Wh, 12 W, a reserve of 30 %, a gauge that reports 77 % forever.
// Without detection the battery was drained to 0.
TEST_F(DeviceReadingsTest, AFrozenGaugeStopsWorkLongBeforeTheReserve) {
  telemetry::SourceInfo info;
  info.name = "gauge";
  info.channels = {{.name = "battery", .gauge = true}};
  const size_t gauge = readings_->Add(info, {});
  const size_t rail = readings_->Add(PowerSource("ina3221", 10), {});
  v1::CoordinatorMessage message;
  v1::Policy& policy = *message.mutable_desired()->add_policies();
  policy.set_name("mast");
  policy.set_reserve_state_of_charge_ratio(0.3);
  const auto now = [&](int second) {
    return clock_.At(At(second), {absl::FromUnixSeconds(1'900'000'000 + second),
                                  absl::ZeroDuration(), policy::TimeSource::kKernel});
  };
  core_->Start(now(0));
  core_->OnConnected(now(0));
  v1::CoordinatorMessage welcome;
  welcome.mutable_welcome()->set_heartbeat_seconds(1);
  core_->OnMessage(welcome, now(0));
  core_->OnMessage(message, now(0));
  double charge = 0.80;
  int stopped = 0;
  int stuck = 0;
  for (int second = 1; second <= 4 * 3600 && stopped == 0; ++second) {
    charge -= 12.0 / (60 * 3600);
    Power(rail, second, 12 + 0.01 * (second % 2));
    readings_->OnPoll(gauge,
                      std::vector<Reading>{{0,
                                            telemetry::ChargeState{
                                                .state_of_charge = Fraction(std::max(charge, 0.77)),
                                                .capacity = FromWattHours(60),
                                                .discharging = true},
                                            At(second)}},
                      At(second));
    core_->Step(now(second));
    const v1::Heartbeat heartbeat = core_->MakeHeartbeat(now(second));
    stuck = stuck == 0 && !readings_->sources()[gauge].stuck_charge.empty() ? second : stuck;
    stopped = heartbeat.guard_reason().empty() ? 0 : second;
  }
  constexpr int kFrozenAt = 540;  // 3 % at 12 W
  std::printf("stuck after %d s, stopped after %d s, at a charge of %.1f %%\n", stuck - kFrozenAt,
              stopped - kFrozenAt, 100 * charge);
  EXPECT_GT(stuck, kFrozenAt);
  EXPECT_LT(stuck, kFrozenAt + 300);
  EXPECT_GT(stopped, stuck);
  EXPECT_LT(stopped, kFrozenAt + 332);
  EXPECT_GT(charge, 0.74);
  EXPECT_THAT(ports_.notes, Contains(HasSubstr("its charge stood at 77.0 %")));
  EXPECT_THAT(ports_.notes, Contains(HasSubstr("guard: battery: no plausible reading for")));
}

TEST_F(DeviceReadingsTest, TheNextGaugeTakesOverFromAStuckOne) {
  telemetry::SourceInfo info;
  info.name = "fine";
  info.channels = {{.name = "battery", .gauge = true}};
  const size_t fine = readings_->Add(info, {});
  info.name = "coarse";
  info.gauge_rank = 50;
  const size_t coarse = readings_->Add(info, {});
  for (int second = 1; second <= 400; ++second) {
    const double truth = 0.5 - second * 12.0 / (60 * 3600);
    for (const auto& [source, charge] : {std::pair(fine, 0.5), std::pair(coarse, truth)}) {
      readings_->OnPoll(
          source,
          std::vector<Reading>{{0,
                                telemetry::ChargeState{.state_of_charge = Fraction(charge),
                                                       .capacity = FromWattHours(60),
                                                       .draw = Watts(12)},
                                At(second)}},
          At(second));
    }
  }
  const v1::Heartbeat heartbeat = core_->MakeHeartbeat(clock_.At(At(400), {}));
  EXPECT_NEAR(heartbeat.state_of_charge_ratio(), 0.5 - 400 * 12.0 / (60 * 3600), 0.001);
}

TEST_F(DeviceReadingsTest, UnderVoltageIsShownForTenMinutesAfterTheLastDip) {
  telemetry::SourceInfo info;
  info.name = "rpi_volt";
  info.channels = {{.name = "supply"}};
  const size_t supply = readings_->Add(info, {});
  const auto poll = [&](double seconds, bool low) {
    readings_->OnPoll(supply, std::vector<Reading>{{0, telemetry::UnderVoltage{low}, At(seconds)}},
                      At(seconds));
    return core_->MakeHeartbeat(clock_.At(At(seconds), {})).guard_warning();
  };
  EXPECT_EQ(poll(1, false), "");
  EXPECT_THAT(poll(2, true), HasSubstr("under-voltage: the board's supply is too weak"));
  EXPECT_THAT(poll(3, false), HasSubstr("under-voltage"));
  EXPECT_THAT(poll(300, true), HasSubstr("under-voltage"));
  EXPECT_THAT(poll(899, false), HasSubstr("under-voltage"));
  EXPECT_EQ(ports_.notes.size(), 1U) << "one note for all dips";
  EXPECT_EQ(poll(900, false), "");
}

// The heat of a board that alternates between work and rest, read by two thermometers. The hotter
// one counts, also for the limit at which it slows the board down.
TEST_F(DeviceReadingsTest, TheHeatOfTheBoardIsToldOnceItsSamplesTellIt) {
  telemetry::SourceInfo info = PowerSource("board", 10);
  info.channels.push_back({.name = "cpu", .thermometer = true, .throttles_at = Celsius(80)});
  info.channels.push_back({.name = "case", .thermometer = true, .throttles_at = Celsius(70)});
  const size_t board = readings_->Add(info, {});
  double rise = 15.0;
  double second = 0;
  const auto work = [&](double watts, double seconds) {
    for (const double end = second + seconds; second < end;) {
      second += 2;
      rise += (5.0 * watts - rise) * -std::expm1(-2.0 / 300.0);
      // Readings of the rail never repeat exactly, or the rail would count as stuck.
      const Watts told(watts + 1e-4 * std::fmod(second, 7.0));
      readings_->OnPoll(board,
                        std::vector<Reading>{{0, told, At(second)},
                                             {1, Celsius(25.0 + rise), At(second)},
                                             {2, Celsius(30.0), At(second)}},
                        At(second));
    }
  };
  work(3, 1800);
  EXPECT_FALSE(core_->MakeHeartbeat(clock_.At(At(second), {})).has_heat_model());
  for (int i = 0; i < 4; ++i) {
    work(12, 1800);
    work(3, 1800);
  }
  const v1::HeatModel heat = core_->MakeHeartbeat(clock_.At(At(second), {})).heat_model();
  ASSERT_EQ(heat.stages_size(), 1);
  EXPECT_NEAR(heat.stages(0).kelvin_per_watt(), 5.0, 0.3);
  EXPECT_NEAR(heat.stages(0).time_constant_seconds(), 300.0, 60.0);
  EXPECT_NEAR(heat.ambient_celsius(), 25.0, 1.5);
  EXPECT_EQ(heat.throttle_celsius(), 80.0);
}

// Predicted watts are not a measurement.
TEST_F(DeviceReadingsTest, WithoutASensorOfPowerNothingIsSaidOfTheHeat) {
  telemetry::SourceInfo info;
  info.name = "zones";
  info.channels = {{.name = "cpu", .thermometer = true}};
  const size_t zones = readings_->Add(info, {});
  for (int second = 1; second < 20000; second += 2) {
    const bool works = second / 1800 % 2 == 1;
    account_->AddPower(At(second), Watts(works ? 12 : 3));
    readings_->OnPoll(zones, std::vector<Reading>{{0, Celsius(works ? 70 : 40), At(second)}},
                      At(second));
  }
  EXPECT_FALSE(core_->MakeHeartbeat(clock_.At(At(20000), {})).has_heat_model());
}

}  // namespace
}  // namespace wattle::agent
