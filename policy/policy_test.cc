// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "policy/fields.h"
#include "policy/held_back.h"
#include "policy/limits.h"
#include "policy/work_pieces.h"

namespace wattle::policy {
namespace {

v1::Policy Demand(const std::string& name, double reserve, double temperature,
                  v1::MissingGauge missing = v1::MISSING_GAUGE_UNSPECIFIED) {
  v1::Policy policy;
  policy.set_name(name);
  policy.set_reserve_state_of_charge_ratio(reserve);
  policy.set_max_temperature_celsius(temperature);
  policy.set_missing_gauge(missing);
  return policy;
}

TEST(LimitsTest, TheStrictestDemandOfEachKindCountsAndKeepsItsName) {
  const v1::Policy mast = Demand("mast", 0.3, 80);
  const v1::Policy winter = Demand("winter", 0.5, 0);
  const v1::Policy box = Demand("box", 0, 70);
  const Limits limits = LimitsOf({&mast, &winter, &box});
  EXPECT_EQ(limits.reserve->state_of_charge, Fraction(0.5));
  EXPECT_EQ(limits.reserve->policy, "winter");
  EXPECT_EQ(limits.temperature_max->temperature, Celsius(70));
  EXPECT_EQ(limits.temperature_max->policy, "box");
  EXPECT_EQ(LimitsOf({}).reserve, std::nullopt);
}

TEST(LimitsTest, TheSmallestLossAndTheSmallestBudgetOfTheCardCount) {
  v1::Policy careful;
  v1::Policy bold;
  const v1::Policy silent;
  bold.set_loss_seconds_max(600);
  careful.set_loss_seconds_max(60);
  bold.set_flash_bytes_per_day(1e9);
  careful.set_flash_bytes_per_day(2e9);
  EXPECT_EQ(LimitsOf({&bold, &careful, &silent}).loss_max, absl::Minutes(1));
  EXPECT_EQ(LimitsOf({&bold, &careful, &silent}).flash_bytes_per_day, 1e9);
  EXPECT_EQ(LimitsOf({&silent}).loss_max, std::nullopt);
  EXPECT_EQ(LimitsOf({&silent}).flash_bytes_per_day, std::nullopt);
}

TEST(LimitsTest, ALossBelowTheTimeOfACheckpointIsRefused) {
  for (const Field& field : Fields()) {
    if (field.name != "loss_seconds_max") {
      continue;
    }
    v1::Policy policy;
    EXPECT_TRUE(field.check(policy).ok());
    policy.set_loss_seconds_max(0.5);
    EXPECT_TRUE(absl::StrContains(field.check(policy).message(), "want 0 for no limit, or 1"));
    policy.set_loss_seconds_max(1);
    EXPECT_TRUE(field.check(policy).ok());
    return;
  }
  FAIL() << "no row";
}

TEST(LimitsTest, TheSmallestRiskCounts) {
  v1::Policy careful;
  careful.set_sun_risk_ratio(0.01);
  v1::Policy bold;
  bold.set_sun_risk_ratio(0.1);
  const v1::Policy silent;
  EXPECT_EQ(LimitsOf({&bold, &careful, &silent}).sun_risk, 0.01);
  EXPECT_EQ(LimitsOf({&silent}).sun_risk, std::nullopt);
}

TEST(PolicyTest, TheLeastPatiencePolicyCounts) {
  v1::Policy patient;
  patient.set_patience_ratio_per_hour(0);
  v1::Policy hasty;
  hasty.set_patience_ratio_per_hour(0.1);
  const v1::Policy silent;
  EXPECT_EQ(LimitsOf({&patient, &hasty, &silent}).patience_ratio_per_hour, 0.1);
  EXPECT_EQ(LimitsOf({&patient, &silent}).patience_ratio_per_hour, 0.0);
  EXPECT_EQ(LimitsOf({&silent}).patience_ratio_per_hour, std::nullopt);
}

// The smallest of several values counts, including 0.
TEST(LimitsTest, MeasuringDrawsWhatTheStrictestPolicyAllows) {
  v1::Policy none;
  none.set_exploration_ratio(0);
  v1::Policy some;
  some.set_exploration_ratio(0.1);
  v1::Policy silent;
  EXPECT_EQ(LimitsOf({&some, &none, &silent}).exploration_ratio, 0.0);
  EXPECT_EQ(LimitsOf({&silent, &some}).exploration_ratio, 0.1);
  EXPECT_EQ(LimitsOf({&silent}).exploration_ratio, std::nullopt);
}

TEST(LimitsTest, AMissingGaugeIsRefusedByAPolicyWithAReserveAlone) {
  const v1::Policy heat = Demand("heat", 0, 80, v1::MISSING_GAUGE_REFUSE);
  const v1::Policy mast = Demand("mast", 0.3, 0, v1::MISSING_GAUGE_REFUSE);
  EXPECT_EQ(LimitsOf({&heat}).refuses_missing_gauge, "");
  EXPECT_EQ(LimitsOf({&heat, &mast}).refuses_missing_gauge, "mast");
}

using Descriptor = google::protobuf::FieldDescriptor;

const Field* RowOf(const std::string& name) {
  for (const Field& field : Fields()) {
    if (field.name == name) {
      return &field;
    }
  }
  return nullptr;
}

// The policy with the number at the end of its range.
v1::Policy AtItsHighest(const Descriptor* field, double high) {
  v1::Policy policy;
  if (field->cpp_type() == Descriptor::CPPTYPE_DOUBLE) {
    policy.GetReflection()->SetDouble(&policy, field, high);
  } else {
    policy.GetReflection()->SetInt32(&policy, field, static_cast<int>(high));
  }
  return policy;
}

TEST(FieldsTest, EveryFieldHasARowWithItsBoundAndItsText) {
  const auto* const type = v1::Policy::descriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const Descriptor* const field = type->field(i);
    const Field* const row = RowOf(field->name());
    if (field->name() == "name" || field->name() == "selector") {
      continue;  // these fields demand nothing of a device
    }
    SCOPED_TRACE(field->name());
    ASSERT_NE(row, nullptr) << "no row in policy/fields.cc";
    const bool shown = row->limits || !row->head.empty() || !row->clause.empty();
    EXPECT_TRUE(!shown || row->text != nullptr) << "no text for people";
    EXPECT_TRUE(row->text == nullptr || row->text(v1::Policy()).empty());
    switch (field->cpp_type()) {
      case Descriptor::CPPTYPE_STRING:
      case Descriptor::CPPTYPE_MESSAGE:
        EXPECT_NE(row->check, nullptr) << "no bound";
        break;
      case Descriptor::CPPTYPE_ENUM:
        break;  // bound by its values
      default:
        ASSERT_LT(row->low, row->high) << "no bound";
        EXPECT_TRUE(row->text == nullptr || !row->text(AtItsHighest(field, row->high)).empty());
    }
    if (row->usual_high > 0) {
      EXPECT_EQ(field->cpp_type(), Descriptor::CPPTYPE_DOUBLE) << "the simulation sets doubles";
      EXPECT_TRUE(row->low <= row->usual_low && row->usual_high <= row->high);
    }
  }
}

TEST(FieldsTest, EveryRowIsAFieldAndTheReferenceSaysItsRangeAndUnit) {
  const auto reference = ReadWholeFile(std::string(WATTLE_SOURCE_DIR) + "/docs/guide/job-file.md");
  ASSERT_TRUE(reference.ok()) << reference.status();
  for (const Field& field : Fields()) {
    EXPECT_NE(v1::Policy::descriptor()->FindFieldByName(std::string(field.name)), nullptr)
        << field.name;
    const std::string range = field.high > 0
                                  ? absl::StrFormat("%.15g to %.15g%s%s |", field.low, field.high,
                                                    field.unit.empty() ? "" : " ", field.unit)
                                  : "";
    const std::string row = absl::StrCat("| `", field.name, "` | ", range);
    EXPECT_TRUE(absl::StrContains(*reference, "\n" + row))
        << "docs/guide/job-file.md has no row " << row;
  }
}

v1::Prediction HundredSteps() {
  v1::Prediction prediction;
  prediction.mutable_run_seconds()->set_high(400);
  prediction.set_mean_power_watts(10);
  prediction.set_start_seconds(12);
  prediction.set_checkpoint_seconds(9);
  prediction.set_unit(v1::WORK_UNIT_EXAMPLE);
  prediction.set_seconds_per_unit(0.25);
  return prediction;
}

TEST(PredictedStopTest, AFineTunesStepIsItsShareOfTheRun) {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_steps(100);
  const StopEstimate estimate = PredictedStop(spec, HundredSteps());
  EXPECT_EQ(estimate.step, absl::Seconds(4));
  EXPECT_EQ(estimate.checkpoint, absl::Seconds(9));  // the time of the result: the run is too short
                                                     // for a checkpoint
  spec.mutable_finetune()->set_checkpoint_every_steps(50);
  EXPECT_EQ(PredictedStop(spec, HundredSteps()).checkpoint,
            absl::Seconds(3));  // two checkpoints and the result
  EXPECT_EQ(estimate.start, absl::Seconds(12));
  EXPECT_EQ(estimate.load, Watts(10));
}

TEST(PredictedStopTest, WithoutANumberOfStepsTheBatchTellsAndWithoutEitherHalfAMinute) {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_batch_size(4);
  spec.mutable_finetune()->set_gradient_accumulation_steps(3);
  EXPECT_EQ(PredictedStop(spec, HundredSteps()).step, absl::Seconds(3));
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate();
  EXPECT_EQ(PredictedStop(evaluate, HundredSteps()).step, absl::Seconds(30));
  v1::Prediction brief = HundredSteps();
  brief.mutable_run_seconds()->set_high(5);
  EXPECT_EQ(PredictedStop(evaluate, brief).step, absl::Seconds(5));
}

TEST(HeldBackTest, CountsAnOldReadingTheKillAndTheShutdown) {
  const StopEstimate estimate = {.start = absl::Seconds(10),
                                 .step = absl::Seconds(20),
                                 .checkpoint = absl::Seconds(10),
                                 .load = Watts(10)};
  EXPECT_EQ(StopTime(estimate), absl::Seconds(60));
  EXPECT_NEAR(HeldBack(estimate).value(), 1.1 * 10 * (30 + 60 + 10), 1e-9);
  EXPECT_EQ(StopTime({}), absl::Seconds(20));
}

TEST(HeldBackTest, TheThresholdAddsTheGaugesErrorAndAShareOfTheCapacity) {
  const StopEstimate estimate = {.step = absl::Seconds(40), .load = Watts(10)};
  const Gauge gauge = {.error = Fraction(0.05), .capacity = Joules(110'000)};
  EXPECT_NEAR(StopThreshold(Fraction(0.3), gauge, estimate).value(), 0.3 + 0.05 + 0.01, 1e-9);
  const Gauge unknown = {.error = Fraction(0.02), .capacity = {}};
  EXPECT_NEAR(StopThreshold(Fraction(0.3), unknown, estimate).value(), 0.37, 1e-9);
}

TEST(HeldBackTest, WorkGoesOnWhereItIsWorthAStartOfTheRunner) {
  const Gauge gauge = {.capacity = Joules(100'000)};
  const auto resumes = [&gauge](double seconds) {
    const StopEstimate estimate = {
        .start = absl::Seconds(seconds), .checkpoint = absl::Seconds(seconds), .load = Watts(10)};
    return ResumeThreshold(Fraction(0.4), gauge, estimate).value();
  };
  EXPECT_NEAR(resumes(1), 0.43, 1e-9) << "0.4 % of the pack are less than 3 %";
  EXPECT_NEAR(resumes(25), 0.5, 1e-9) << "twenty times 500 J";
  EXPECT_NEAR(resumes(500), 0.7, 1e-9) << "half of what lies above the stop";
  EXPECT_NEAR(ResumeThreshold(Fraction(0.98), gauge, {}).value(), 1.01, 1e-9);
  EXPECT_NEAR(ResumeThreshold(Fraction(0.4), {}, {}).value(), 0.43, 1e-9);
}

// 2030-03-17 00:00 UTC.
absl::Time At(double hours) {
  return absl::FromUnixSeconds(1'899'936'000) + absl::Hours(1) * hours;
}

v1::Policy Windows(const std::vector<std::string>& windows, int utc_offset_minutes = 0) {
  v1::Policy policy;
  policy.set_name("day");
  policy.set_utc_offset_minutes(utc_offset_minutes);
  for (const std::string& window : windows) {
    policy.add_work_windows(window);
  }
  return policy;
}

TEST(ScheduleTest, TimesThatCannotBeReadAreRefusedWithAnExample) {
  for (const char* text : {"", "6-18", "06:00", "06:00-06:00", "24:00-06:00", "06:00-24:01",
                           "06:60-18:00", "a6:00-18:00", "06:00-18:00-19:00"}) {
    EXPECT_THAT(std::string(ParseDailyWindow(text).status().message()),
                testing::HasSubstr("such as 06:00-18:00"))
        << text;
  }
  for (const char* text : {"", "7", "24:00", "tomorrow", "2026-12-01", "infinite-future"}) {
    EXPECT_THAT(std::string(ParseAliveTime(text).status().message()),
                testing::HasSubstr("such as 07:00"))
        << text;
  }
  EXPECT_EQ(ParseAliveTime("2030-03-17T06:00:00+02:00")->moment, At(4));
}

TEST(ScheduleTest, AWindowOpensAndCloses) {
  const v1::Policy policy = Windows({"06:00-18:00"});
  const Limits limits = LimitsOf({&policy});
  EXPECT_EQ(OpensAt(limits.windows, At(5)), At(6));
  EXPECT_EQ(OpensAt(limits.windows, At(6)), At(6));
  EXPECT_EQ(ClosesAt(limits.windows, At(7)), At(18));
  EXPECT_EQ(OpensAt(limits.windows, At(18)), At(30));
}

TEST(ScheduleTest, AWindowMayPassMidnightInThePolicysOwnTime) {
  const v1::Policy policy = Windows({"22:00-02:00"}, 120);
  const Limits limits = LimitsOf({&policy});
  EXPECT_EQ(OpensAt(limits.windows, At(12)), At(20));
  EXPECT_EQ(ClosesAt(limits.windows, At(21)), At(24));
  EXPECT_EQ(ClosesAt(limits.windows, At(23.5)), At(24));
  EXPECT_EQ(OpensAt(limits.windows, At(24)), At(44));
}

TEST(ScheduleTest, WindowsThatFollowEachOtherAreOneAndOfSeveralPoliciesAllMustBeOpen) {
  const v1::Policy day = Windows({"06:00-12:00", "12:00-18:00"});
  EXPECT_EQ(ClosesAt(LimitsOf({&day}).windows, At(7)), At(18));
  const v1::Policy always = Windows({"00:00-12:00", "12:00-24:00"});
  EXPECT_EQ(ClosesAt(LimitsOf({&always}).windows, At(7)), absl::InfiniteFuture());
  const v1::Policy late = Windows({"16:00-20:00"});
  const Limits both = LimitsOf({&day, &late});
  EXPECT_EQ(OpensAt(both.windows, At(7)), At(16));
  EXPECT_EQ(ClosesAt(both.windows, At(16)), At(18));
  const v1::Policy night = Windows({"20:00-04:00"});
  EXPECT_EQ(OpensAt(LimitsOf({&day, &night}).windows, At(7)), absl::InfiniteFuture());
}

std::vector<std::string> NeverOpen(const std::vector<std::vector<std::string>>& windows) {
  std::vector<v1::Policy> policies;
  for (const std::vector<std::string>& of_one : windows) {
    policies.push_back(Windows(of_one));
    policies.back().set_name(std::string(1, static_cast<char>('a' + policies.size() - 1)));
  }
  std::vector<const v1::Policy*> all;
  for (const v1::Policy& policy : policies) {
    all.push_back(&policy);
  }
  const std::vector<WindowLimit> limits = LimitsOf(all).windows;
  EXPECT_EQ(OpensAt(limits, At(7)), absl::InfiniteFuture());
  std::vector<std::string> names;
  for (const WindowLimit& limit : FewestNeverOpen(limits, At(7))) {
    names.push_back(limit.policy);
  }
  return names;
}

TEST(ScheduleTest, TheFewestPoliciesAreNamedWhoseWindowsContradict) {
  EXPECT_THAT(NeverOpen({{"06:00-12:00"}, {"12:00-18:00"}}), testing::ElementsAre("a", "b"));
  EXPECT_THAT(NeverOpen({{"00:00-24:00"}, {"06:00-18:00"}, {"10:00-12:00"}, {"20:00-04:00"}}),
              testing::ElementsAre("b", "d"));
  // Any two of the last three have a time in common.
  EXPECT_THAT(NeverOpen({{"00:00-24:00"}, {"00:00-16:00"}, {"08:00-24:00"}, {"16:00-08:00"}}),
              testing::ElementsAre("b", "c", "d"));
}

TEST(ScheduleTest, OfVeryManyContradictingPoliciesAllMayBeNamed) {
  // Each leaves out an hour and a half, and all together the day.
  std::vector<std::vector<std::string>> windows;
  for (int half = 0; half < 16; ++half) {
    const auto clock = [](int minutes) {
      return absl::StrFormat("%02d:%02d", minutes / 60 % 24, minutes % 60);
    };
    windows.push_back({absl::StrCat(clock(90 * (half + 1)), "-", clock(90 * half))});
  }
  EXPECT_THAT(NeverOpen(windows), testing::SizeIs(16));
}

absl::Time Utc(const char* text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M", text, &time, &error)) << error;
  return time;
}

v1::Policy BerlinWindows(const std::vector<std::string>& windows) {
  v1::Policy policy = Windows(windows);
  policy.set_time_zone("Europe/Berlin");
  return policy;
}

TEST(TimeZoneTest, AWindowFollowsDaylightSavingTime) {
  const v1::Policy policy = BerlinWindows({"08:00-16:00"});
  const Limits limits = LimitsOf({&policy});
  ASSERT_EQ(limits.unreadable, "");
  EXPECT_EQ(Describe(limits.windows.front()), "08:00-16:00 Europe/Berlin");
  EXPECT_EQ(OpensAt(limits.windows, Utc("2030-01-15 00:00")), Utc("2030-01-15 07:00"));
  EXPECT_EQ(ClosesAt(limits.windows, Utc("2030-01-15 07:00")), Utc("2030-01-15 15:00"));
  EXPECT_EQ(OpensAt(limits.windows, Utc("2030-07-15 00:00")), Utc("2030-07-15 06:00"));
  EXPECT_EQ(ClosesAt(limits.windows, Utc("2030-07-15 06:00")), Utc("2030-07-15 14:00"));
  // From the last day of one time to the first of the other.
  EXPECT_EQ(OpensAt(limits.windows, Utc("2030-03-30 16:00")), Utc("2030-03-31 06:00"));
  EXPECT_EQ(OpensAt(limits.windows, Utc("2030-10-26 16:00")), Utc("2030-10-27 07:00"));
}

// The clocks go from 02:00 to 03:00 at 01:00 UTC on 2030-03-31, and from 03:00 to 02:00 at 01:00
// UTC on 2030-10-27.
TEST(TimeZoneTest, ATimeThatIsMissingIsTheChangeAndOneThatComesTwiceIsBoth) {
  const v1::Policy night = BerlinWindows({"22:00-06:00"});
  const auto windows = LimitsOf({&night}).windows;
  EXPECT_EQ(ClosesAt(windows, Utc("2030-03-30 21:00")), Utc("2030-03-31 04:00"));  // 7 h
  EXPECT_EQ(ClosesAt(windows, Utc("2030-10-26 20:00")), Utc("2030-10-27 05:00"));  // 9 h
  const v1::Policy missing = BerlinWindows({"02:15-02:45"});
  const auto skipped = LimitsOf({&missing}).windows;
  EXPECT_EQ(OpensAt(skipped, Utc("2030-03-30 12:00")), Utc("2030-04-01 00:15"));
  const v1::Policy begins = BerlinWindows({"02:30-05:00"});
  EXPECT_EQ(OpensAt(LimitsOf({&begins}).windows, Utc("2030-03-31 00:00")), Utc("2030-03-31 01:00"));
  const v1::Policy twice = BerlinWindows({"02:15-02:45"});
  EXPECT_EQ(ClosesAt(LimitsOf({&twice}).windows, Utc("2030-10-27 00:20")), Utc("2030-10-27 01:45"));
}

// Every minute of two years: a window is open exactly when the local time lies in it, except for
// the hour that occurs twice.
TEST(TimeZoneTest, OpenIsWhatTheClockOnTheWallSays) {
  const v1::Policy policy = BerlinWindows({"05:30-11:00", "20:00-04:00"});
  const WindowLimit limit = LimitsOf({&policy}).windows.front();
  for (absl::Time at = Utc("2030-01-01 00:00"); at < Utc("2032-01-01 00:00");
       at += absl::Minutes(7)) {
    const absl::CivilMinute wall = absl::ToCivilMinute(at, limit.zone);
    const int minute = 60 * wall.hour() + wall.minute();
    const bool open = (minute >= 330 && minute < 660) || minute >= 1200 || minute < 240;
    ASSERT_EQ(OpensAt({limit}, at) == at, open) << at;
  }
}

TEST(TimeZoneTest, TheDayOfABudgetHas23Or25HoursWhenTheClocksChange) {
  v1::Policy policy = BerlinWindows({});
  policy.set_daily_energy_budget_wh(10);
  const BudgetLimit budget = *LimitsOf({&policy}).budget;
  EXPECT_EQ(DayEnds(budget, Utc("2030-03-30 23:00")), Utc("2030-03-31 22:00"));
  EXPECT_EQ(DayEnds(budget, Utc("2030-10-26 22:00")), Utc("2030-10-27 23:00"));
  EXPECT_EQ(DayOf(budget, Utc("2030-10-27 22:59")), DayOf(budget, Utc("2030-10-26 22:00")));
  EXPECT_EQ(DayOf(budget, Utc("2030-10-27 23:00")), DayOf(budget, Utc("2030-10-26 22:00")) + 1);
}

TEST(TimeZoneTest, TheBatteryLivesUntilTheHourOfThePlace) {
  v1::Policy policy = BerlinWindows({});
  policy.set_stay_alive_until("07:00");
  const AliveLimit alive = LimitsOf({&policy}).alive.front();
  EXPECT_EQ(AliveUntil(alive, Utc("2030-03-30 12:00")), Utc("2030-03-31 05:00"));
  EXPECT_EQ(AliveUntil(alive, Utc("2030-10-26 12:00")), Utc("2030-10-27 06:00"));
  EXPECT_EQ(Describe(alive), "07:00 Europe/Berlin");
}

TEST(TimeZoneTest, AZoneThatIsNotKnownMakesTheLimitsUnreadable) {
  ASSERT_TRUE(ParseZone("", -300).ok());
  EXPECT_EQ(Describe(*ParseZone("", -300)), " UTC-05:00");
  EXPECT_EQ(Describe(*ParseZone("", 0)), " UTC");
  for (const char* name : {"Europe/Bielefeld", "/etc/passwd", "../zoneinfo/UTC", "localtime", "+2",
                           "Fixed/UTC+02:00:00"}) {
    v1::Policy policy = BerlinWindows({"08:00-16:00"});
    policy.set_time_zone(name);
    EXPECT_THAT(LimitsOf({&policy}).unreadable, testing::HasSubstr("Europe/Berlin")) << name;
  }
  EXPECT_FALSE(ParseZone("Europe/Berlin", 60).ok());
}

TEST(ScheduleTest, TheDayOfABudgetIsThePolicys) {
  const BudgetLimit west = {.per_day = Joules(1), .zone = absl::FixedTimeZone(-5 * 3600)};
  EXPECT_EQ(DayOf(west, At(4.9)) + 1, DayOf(west, At(5)));
  EXPECT_EQ(DayEnds(west, At(4.9)), At(5));
  EXPECT_EQ(DayEnds(west, At(5)), At(29));
}

TEST(ScheduleTest, StayingAliveComesOnTopOfTheReserve) {
  v1::Policy policy = Demand("mast", 0.2, 0);
  policy.set_stay_alive_until("07:00");
  const Limits limits = LimitsOf({&policy});
  const auto at_night = ChargeFloor(limits, At(1), Watts(5), FromWattHours(100));
  EXPECT_NEAR(at_night->state_of_charge.value(), 0.2 + 0.3, 1e-9);
  EXPECT_EQ(at_night->policy, "mast, alive until 07:00 UTC");
  EXPECT_NEAR(ChargeFloor(limits, At(7), Watts(1), FromWattHours(100))->state_of_charge.value(),
              0.2 + 0.24, 1e-9);  // until tomorrow's
  EXPECT_EQ(ChargeFloor(limits, At(1), Watts(5), std::nullopt)->state_of_charge, Fraction(0.2));
  policy.set_stay_alive_until("2030-03-17T07:00:00Z");
  EXPECT_EQ(ChargeFloor(LimitsOf({&policy}), At(7), Watts(5), FromWattHours(100))->state_of_charge,
            Fraction(0.2));
}

absl::Time FinishOf(const Limits& limits, absl::Time start, absl::Duration work, Joules spent) {
  return FinishUnder(OpenTimes(limits.windows), limits.budget,
                     {.start = start, .work = work, .draw = Watts(10), .spent = spent});
}

TEST(FinishUnderTest, ARunPausesForWindowsAndBudget) {
  const v1::Policy day = Windows({"06:00-18:00"});
  const Limits windows = LimitsOf({&day});
  EXPECT_EQ(FinishOf(windows, At(8), absl::Hours(3), Joules(0)), At(11));
  EXPECT_EQ(FinishOf(windows, At(16), absl::Hours(3), Joules(0)), At(31));
  EXPECT_EQ(FinishOf(windows, At(20), absl::Hours(3), Joules(0)), At(33));

  v1::Policy lean;
  lean.set_daily_energy_budget_wh(20);
  const Limits budget = LimitsOf({&lean});
  // 10 Wh are left today: one hour; 20 Wh are two hours of the next day.
  EXPECT_EQ(FinishOf(budget, At(8), absl::Hours(3), FromWattHours(10)), At(26));
  EXPECT_EQ(FinishOf(budget, At(8), absl::Hours(4), FromWattHours(10)), At(49));
  EXPECT_EQ(FinishOf(budget, At(8), absl::Hours(1), FromWattHours(20)), At(25));

  const Limits both = LimitsOf({&day, &lean});
  EXPECT_EQ(FinishOf(both, At(8), absl::Hours(4), FromWattHours(10)), At(55));
  const v1::Policy night = Windows({"20:00-04:00"});
  EXPECT_EQ(FinishOf(LimitsOf({&day, &night}), At(8), absl::Hours(1), Joules(0)),
            absl::InfiniteFuture());
}

TEST(PiecesUnderTest, ARunWorksWhileWindowsAreOpenAndTheBudgetLasts) {
  const v1::Policy day = Windows({"06:00-18:00"});
  v1::Policy lean;
  lean.set_daily_energy_budget_wh(20);
  const auto pieces = [](const Limits& limits, absl::Time start, absl::Duration work) {
    return PiecesUnder(
        OpenTimes(limits.windows), limits.budget,
        {.start = start, .work = work, .draw = Watts(10), .spent = FromWattHours(10)});
  };
  const auto are = [](const std::vector<WorkPiece>& expected) {
    return testing::ElementsAreArray(expected);
  };
  EXPECT_THAT(pieces({}, At(8), absl::Hours(3)), are({{At(8), At(11)}}));
  EXPECT_THAT(pieces(LimitsOf({&day}), At(16), absl::Hours(3)),
              are({{At(16), At(18)}, {At(30), At(31)}}));
  EXPECT_THAT(pieces(LimitsOf({&lean}), At(8), absl::Hours(4)),
              are({{At(8), At(9)}, {At(24), At(26)}, {At(48), At(49)}}));
  EXPECT_THAT(pieces(LimitsOf({&day, &lean}), At(20), absl::Hours(3)),
              are({{At(30), At(32)}, {At(54), At(55)}}));
  const v1::Policy night = Windows({"20:00-04:00"});
  EXPECT_THAT(pieces(LimitsOf({&day, &night}), At(8), absl::Hours(1)), testing::IsEmpty());
}

}  // namespace
}  // namespace wattle::policy
