// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/energy_account.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

Monotonic AccountAt(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}

EnergyAccount NewAccount() {
  return {{.cadence = absl::Milliseconds(430)},
          {v1::ENERGY_SOURCE_INA3221, "module"},
          AccountAt(0),
          {},
          {}};
}

// Adds a reading of `watts` every 0.4 s in (from, to].
void Sample(EnergyAccount& account, double from, double to, double watts) {
  for (int i = 1; from + 0.4 * i <= to + 1e-9; ++i) {
    account.AddPower(AccountAt(from + 0.4 * i), Watts(watts));
  }
}

TEST(EnergyAccountTest, EachActivityGetsItsOwnTimeAndEnergy) {
  EnergyAccount account = NewAccount();
  account.AddPower(AccountAt(0), Watts(3));
  Sample(account, 0, 4, 3);
  account.BeginAttempt({});
  account.SetActivity(AccountAt(4), Activity::kFetch);
  Sample(account, 4, 8, 4);
  account.SetActivity(AccountAt(8), Activity::kRun);
  Sample(account, 8, 16, 14);
  account.SetActivity(AccountAt(16), Activity::kIdle);
  Sample(account, 16, 20, 3);
  const AttemptEnergy& attempt = account.attempt();
  EXPECT_NEAR(attempt.run.gross.value(), 14 * 8, 1e-6);
  EXPECT_NEAR(attempt.total.gross.value(), 14 * 8 + 4 * 4, 1e-6);
  EXPECT_EQ(attempt.In(Activity::kFetch), absl::Seconds(4));
  EXPECT_EQ(attempt.In(Activity::kRun), absl::Seconds(8));
  EXPECT_NEAR(account.ledger().attempt_energy_joules(), 14 * 8 + 4 * 4, 1e-6);
  EXPECT_NEAR(account.ledger().idle_energy_joules(), 3 * 8, 1e-6);
  EXPECT_NEAR(account.total().value(), 14 * 8 + 4 * 4 + 3 * 8, 1e-6);
}

TEST(EnergyAccountTest, AChangeAheadOfNowTakesPlaceAtItsTimeOrIsTakenBack) {
  EnergyAccount account = NewAccount();
  account.AddPower(AccountAt(0), Watts(5));
  account.BeginAttempt({});
  account.SetActivity(AccountAt(0), Activity::kStart);
  account.SetActivity(AccountAt(2), Activity::kCheckpoint);
  account.SetActivity(AccountAt(2), Activity::kRun);  // instead
  Sample(account, 0, 4, 5);
  EXPECT_EQ(account.attempt().In(Activity::kStart), absl::Seconds(2));
  EXPECT_EQ(account.attempt().In(Activity::kCheckpoint), absl::ZeroDuration());
  EXPECT_NEAR(absl::ToDoubleSeconds(account.attempt().In(Activity::kRun)), 2.0, 1e-9);
  EXPECT_NEAR(account.attempt().run.gross.value(), 10.0, 1e-9);
}

TEST(EnergyAccountTest, IdleIsLearnedOnlyAfterTheLoadHasSettled) {
  EnergyAccount account = NewAccount();
  account.SetActivity(AccountAt(0), Activity::kRun);
  account.AddPower(AccountAt(0), Watts(14));
  Sample(account, 0, 4, 14);
  account.SetActivity(AccountAt(4), Activity::kIdle);
  Sample(account, 4, 6.8, 9);  // still cooling
  Sample(account, 6.8, 20, 3);
  ASSERT_TRUE(account.idle().power().has_value());
  EXPECT_NEAR(account.idle().power()->value(), 3.0, 1e-9);
}

TEST(EnergyAccountTest, WhatAnEarlierProcessMeasuredIsAddedAndTheLossLowersCoverage) {
  EnergyAccount account = NewAccount();
  AttemptEnergy earlier;
  earlier.run.covered = absl::Seconds(90);
  earlier.run.gross = Joules(900);
  earlier.total = earlier.run;
  earlier.total.peak = Watts(12);
  earlier.time[static_cast<size_t>(Activity::kRun)] = absl::Seconds(90);
  account.BeginAttempt(earlier);
  account.AddLost(absl::Seconds(10));
  EXPECT_EQ(account.attempt().run.gross, Joules(900));
  EXPECT_NEAR(account.attempt().run.Coverage().value(), 0.9, 1e-9);
  EXPECT_EQ(account.attempt().run.missing_at_most, Joules(120));
  EXPECT_EQ(account.attempt().In(Activity::kRun), absl::Seconds(100));
}

TEST(EnergyAccountTest, TheEnergyOfAnAttemptsEndComesWithTheNextReading) {
  EnergyAccount account = NewAccount();
  account.AddPower(AccountAt(0), Watts(10));
  account.BeginAttempt({});
  account.SetActivity(AccountAt(0), Activity::kRun);
  Sample(account, 0, 4, 10);
  account.AdvanceTo(AccountAt(4.3));
  account.SetActivity(AccountAt(4.3), Activity::kIdle);
  EXPECT_EQ(account.attempt().In(Activity::kRun), absl::Seconds(4.3));
  EXPECT_NEAR(account.attempt().run.gross.value(), 40.0, 1e-9);
  EXPECT_TRUE(account.AwaitsReading(AccountAt(4.3)));
  account.AddPower(AccountAt(4.4), Watts(2));
  EXPECT_FALSE(account.AwaitsReading(AccountAt(4.3)));
  EXPECT_NEAR(account.attempt().run.gross.value(), 43.0, 1e-9);
  EXPECT_NEAR(account.ledger().idle_energy_joules(), 0.2, 1e-9);
}

// A reading counts for the time before it was taken, even if it arrives later.
TEST(EnergyAccountTest, AReadingFromBeforeAChangeThatWasNotedFirstStillCounts) {
  EnergyAccount account = NewAccount();
  account.AddPower(AccountAt(0), Watts(10));
  account.BeginAttempt({});
  account.SetActivity(AccountAt(0), Activity::kRun);
  account.AdvanceTo(AccountAt(1));
  account.SetActivity(AccountAt(1), Activity::kCheckpoint);
  account.AddPower(AccountAt(0.8), Watts(10));
  EXPECT_NEAR(account.attempt().run.gross.value(), 8.0, 1e-9);
  account.AddPower(AccountAt(1.2), Watts(10));
  EXPECT_NEAR(account.attempt().run.gross.value(), 10.0, 1e-9);
  EXPECT_NEAR(account.attempt().EnergyIn(Activity::kCheckpoint).value(), 2.0, 1e-9);
}

TEST(EnergyAccountTest, TheEstimateForAGapFollowsTheActivityAndIgnoresAnOldGlitch) {
  EnergyAccount account = NewAccount();
  account.AddPower(AccountAt(0), Watts(3));
  Sample(account, 0, 2000, 3);
  account.AddPower(AccountAt(2000.1), Watts(500));
  Sample(account, 2000.1, 8000, 3);
  account.AdvanceTo(AccountAt(8100));  // silent while idle: the gap costs idle power, not 500 W
  EXPECT_GT(account.ledger().missing_energy_joules(), 3 * 95);
  EXPECT_LT(account.ledger().missing_energy_joules(), 3.2 * 101);
}

// A device without a sensor is modelled while it works. Between jobs its power is unknown.
TEST(EnergyAccountTest, AModelledGuessDoesNotOutliveItsJob) {
  EnergyAccount account({.cadence = absl::Milliseconds(430)},
                        {v1::ENERGY_SOURCE_MODEL, "estimated"}, AccountAt(0), {}, {});
  account.BeginAttempt({});
  account.SetActivity(AccountAt(0), Activity::kRun);
  account.AddPower(AccountAt(0), Watts(10));
  Sample(account, 0, 10, 10);
  account.EndAttempt();
  account.SetActivity(AccountAt(10), Activity::kIdle);
  account.AdvanceTo(AccountAt(20));
  EXPECT_FALSE(account.power().has_value()) << "idle: the last job's figure is no reading";
  account.AdvanceTo(AccountAt(1337));
  account.BeginAttempt({});
  account.SetActivity(AccountAt(1337), Activity::kRun);
  account.AddPower(AccountAt(1338), Watts(10));
  account.AdvanceTo(AccountAt(1338));
  EXPECT_LT(account.ledger().missing_energy_joules(), 10 * 3.0)
      << "22 minutes of idling are not priced as work";
}

TEST(EnergyAccountTest, TheReceiptNamesTheSourceThatMeasuredMostOfTheAttempt) {
  EnergyAccount account = NewAccount();
  account.BeginAttempt({});
  account.SetActivity(AccountAt(0), Activity::kRun);
  Sample(account, 0, 2, 10);
  account.SwitchSource({.cadence = absl::Milliseconds(430)}, {v1::ENERGY_SOURCE_RAPL, "soc_rails"});
  Sample(account, 2, 12, 8);
  EXPECT_EQ(account.AttemptOrigin().source, v1::ENERGY_SOURCE_RAPL);
  EXPECT_EQ(account.attempt().run.Coverage(), Fraction(1.0));
}

TEST(EnergyAccountTest, ThrottlingCountsOnlyIfASourceReportsIt) {
  EnergyAccount account = NewAccount();
  account.BeginAttempt({});
  account.SetActivity(AccountAt(0), Activity::kRun);
  Sample(account, 0, 10, 10);
  EXPECT_FALSE(ToProto(account.attempt().run, {}, account.origin()).has_throttled_ratio());
  account.AddThrottling(AccountAt(6), false);
  account.AddThrottling(AccountAt(8), true);
  account.AddThrottling(AccountAt(10), false);
  EXPECT_NEAR(ToProto(account.attempt().run, {}, account.origin()).throttled_ratio(), 0.2, 1e-9);
}

TEST(EnergyAccountTest, AReceiptsMeasurementComesBackAsItWas) {
  telemetry::EnergySpan span;
  span.covered = absl::Seconds(95);
  span.missing = absl::Seconds(5);
  span.gross = Joules(950);
  span.missing_at_most = Joules(60);
  span.peak = Watts(12);
  span.temperature_max = Celsius(61);
  span.samples = 220;
  const v1::EnergyMeasurement measurement =
      ToProto(span, Watts(3), {v1::ENERGY_SOURCE_RAPL, "soc_rails"});
  EXPECT_NEAR(measurement.net_energy_joules(), 950 - 3 * 95, 1e-9);
  EXPECT_NEAR(measurement.mean_power_watts(), 10, 1e-9);
  EXPECT_EQ(measurement.source(), v1::ENERGY_SOURCE_RAPL);
  const telemetry::EnergySpan back = FromProto(measurement);
  EXPECT_NEAR(absl::ToDoubleSeconds(back.covered), 95, 1e-9);
  EXPECT_NEAR(absl::ToDoubleSeconds(back.missing), 5, 1e-9);
  EXPECT_EQ(back.gross, span.gross);
  EXPECT_EQ(back.temperature_max, span.temperature_max);
  EXPECT_EQ(back.samples, span.samples);
}

}  // namespace
}  // namespace wattle::agent
