// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/known_time.h"

#include "gtest/gtest.h"

namespace wattle::policy {
namespace {

const absl::Time kMidnight = absl::FromUnixSeconds(1'899'936'000);

KnownTime Around(absl::Duration since_midnight, absl::Duration error) {
  return {.time = kMidnight + since_midnight, .error = error, .source = TimeSource::kCoordinator};
}

std::vector<WindowLimit> From(const std::vector<std::string>& windows) {
  v1::Policy policy;
  policy.mutable_work_windows()->Add(windows.begin(), windows.end());
  return LimitsOf({&policy}).windows;
}

TEST(KnownTimeTest, AWindowMustHoldWhateverTheTimeIsWithinItsError) {
  const auto day = From({"06:00-18:00"});
  EXPECT_EQ(OpenFor(day, Around(absl::Hours(6), {})), absl::Hours(12));
  EXPECT_EQ(OpenFor(day, Around(absl::Hours(5.9), {})), absl::ZeroDuration());
  // A small error counts as none.
  EXPECT_EQ(OpenFor(day, Around(absl::Hours(6), absl::Minutes(4))), absl::Hours(12));
  EXPECT_EQ(OpenFor(day, Around(absl::Hours(6), absl::Hours(1))), absl::ZeroDuration());
  EXPECT_EQ(OpenFor(day, Around(absl::Hours(8), absl::Hours(1))), absl::Hours(9));
  EXPECT_EQ(OpenFor(day, Around(absl::Hours(17.5), absl::Hours(1))), absl::ZeroDuration());
  // Both ends lie in a window, but the time between them does not.
  EXPECT_EQ(OpenFor(From({"06:00-08:00", "10:00-12:00"}), Around(absl::Hours(9), absl::Hours(2))),
            absl::ZeroDuration());
  EXPECT_EQ(OpenFor(day, KnownTime{.time = kMidnight + absl::Hours(12)}), absl::ZeroDuration());
  EXPECT_EQ(OpenFor({}, KnownTime{}), absl::InfiniteDuration());
}

TEST(KnownTimeTest, ADayIsKnownOnceBothEndsAreInIt) {
  v1::Policy policy;
  policy.set_daily_energy_budget_wh(1);
  const BudgetLimit budget = *LimitsOf({&policy}).budget;
  const int64_t day = DayOf(budget, kMidnight);
  EXPECT_EQ(DayOf(budget, Around(absl::Minutes(1), {})), day);
  EXPECT_EQ(DayOf(budget, Around(absl::Minutes(1), absl::Minutes(10))), std::nullopt);
  EXPECT_EQ(DayOf(budget, Around(absl::Minutes(11), absl::Minutes(10))), day);
  EXPECT_EQ(DayOf(budget, KnownTime{.time = kMidnight}), std::nullopt);
}

TEST(KnownTimeTest, TheFloorIsTheHighestWithinTheError) {
  v1::Policy policy;
  policy.set_stay_alive_until("07:00");
  const Limits limits = LimitsOf({&policy});
  const auto hours = [&](const KnownTime& now, absl::Duration lead) {
    return HighestChargeFloor(limits, now, lead, Watts(1), FromWattHours(100))
               ->state_of_charge.value() *
           100;
  };
  EXPECT_NEAR(hours(Around(absl::Hours(6), {}), {}), 1, 1e-9);
  EXPECT_NEAR(hours(Around(absl::Hours(5), absl::Hours(1)), {}), 3, 1e-9);
  // 07:00 may just have passed, and the next one is a day away.
  EXPECT_NEAR(hours(Around(absl::Hours(7), absl::Hours(1)), {}), 24, 1e-9);
  EXPECT_NEAR(hours(Around(absl::Hours(6.5), {}), absl::Hours(1)), 24, 1e-9);
}

}  // namespace
}  // namespace wattle::policy
