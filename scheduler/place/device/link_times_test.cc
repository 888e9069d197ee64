// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the length of transfers under the limits of policies, and that plans show it.
#include "scheduler/place/device/link_times.h"

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "policy/limits.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using testing::HasSubstr;

const absl::Time kMidnight = absl::FromUnixSeconds(1'799'971'200);
constexpr double kBytesPerSecond = 50e3;
constexpr int64_t kADay = 50'000'000;

double UnixSeconds(absl::Time time) {
  return absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

v1::Policy Policy(const std::vector<std::string>& windows, int64_t bytes_per_day = 0) {
  v1::Policy policy;
  policy.set_name("night");
  for (const std::string& window : windows) {
    policy.mutable_link()->add_windows(window);
  }
  policy.mutable_link()->set_bytes_per_day(bytes_per_day);
  return policy;
}

// Contact from 14:00 to 14:10 of each day.
v1::Device TenMinutesADay() {
  v1::Device device;
  for (int hour = 0; hour < 168; ++hour) {
    device.mutable_heartbeat()->mutable_link()->add_contact_ratio_by_hour(hour % 24 == 14 ? 1.0F / 6
                                                                                          : 0);
  }
  return device;
}

// Hours of a transfer that needs `needed` of an open link; -1: it never ends.
double Hours(const v1::Policy& policy, absl::Duration needed, double from_hour,
             const v1::Device& device = {}) {
  const auto times = LinkTimes::Of(device, policy::LimitsOf({&policy}));
  EXPECT_TRUE(times.has_value());
  const absl::Duration takes =
      times->TimeFor({.bytes = kBytesPerSecond * absl::ToDoubleSeconds(needed),
                      .bytes_per_second = kBytesPerSecond,
                      .begin = kMidnight + absl::Hours(from_hour)});
  return takes == absl::InfiniteDuration() ? -1 : absl::ToDoubleHours(takes);
}

TEST(LinkTimesTest, WithoutLimitsAndWithContactThereAreNone) {
  EXPECT_FALSE(LinkTimes::Of({}, {}).has_value());
  EXPECT_TRUE(LinkTimes::Of(TenMinutesADay(), {}).has_value());
  EXPECT_EQ(LinkTimes::Of(TenMinutesADay(), {})->words(), "");
}

TEST(LinkTimesTest, ATransferWaitsForItsWindowAndGoesOnInTheNext) {
  const v1::Policy night = Policy({"01:00-05:00"});
  EXPECT_NEAR(Hours(night, absl::Hours(1), 0), 2, 1e-6);
  EXPECT_NEAR(Hours(night, absl::Hours(1), 2), 1, 1e-6) << "it is open";
  EXPECT_NEAR(Hours(night, absl::Hours(4), 1), 4, 1e-6);
  EXPECT_NEAR(Hours(night, absl::Hours(4), 2), 24, 1e-6) << "an hour is left for the next";
  EXPECT_NEAR(Hours(night, absl::Hours(10), 5), 20 + 2 * 24 + 2, 1e-6);
  EXPECT_NEAR(Hours(Policy({"23:00-01:00"}), absl::Hours(3), 22), 26, 1e-6) << "over midnight";
}

// The worker stops transfers, as all work, outside of work's windows.
TEST(LinkTimesTest, ATransferNeedsAWindowOfWorkToo) {
  v1::Policy both = Policy({"01:00-05:00"});
  both.add_work_windows("04:00-18:00");
  EXPECT_NEAR(Hours(both, absl::Hours(1), 0), 5, 1e-6);
  EXPECT_NEAR(Hours(both, absl::Hours(2), 0), 24 + 5, 1e-6);
  both.mutable_link()->clear_windows();
  both.mutable_link()->set_bytes_per_day(kADay);
  EXPECT_NEAR(Hours(both, absl::Minutes(10), 0), 4 + 10.0 / 60, 1e-6);
}

TEST(LinkTimesTest, ADaysBytesEndAtMidnight) {
  // 50 MB a day leave 48 for artifacts: 16 minutes at this rate.
  const v1::Policy metered = Policy({}, kADay);
  EXPECT_NEAR(Hours(metered, absl::Minutes(16), 8), 16.0 / 60, 1e-6);
  EXPECT_NEAR(Hours(metered, absl::Minutes(17), 8), 16 + 1.0 / 60, 1e-6);
  EXPECT_NEAR(Hours(metered, absl::Minutes(40), 8), 16 + 24 + 8.0 / 60, 1e-6);
  EXPECT_NEAR(Hours(metered, absl::Minutes(17), 23.9), 0.1 + 11.0 / 60, 1e-6)
      << "six minutes of the day before";
  EXPECT_NEAR(Hours(Policy({"01:00-05:00"}, kADay), absl::Minutes(20), 0), 25 + 4.0 / 60, 1e-6);
}

TEST(LinkTimesTest, WhatTheDayHasCarriedIsNotLeft) {
  // 50 MB a day leave 48 for artifacts, and of the present day at most what is left of the 50.
  const v1::Policy metered = Policy({}, kADay);
  v1::Device device;
  v1::Heartbeat& heartbeat = *device.mutable_heartbeat();
  heartbeat.set_unix_seconds(UnixSeconds(kMidnight + absl::Hours(8)));
  const auto hours = [&](absl::Duration needed, double from_hour) {
    return Hours(metered, needed, from_hour, device);
  };
  EXPECT_NEAR(hours(absl::Minutes(16), 8), 16.0 / 60, 1e-6) << "an older worker tells nothing";
  heartbeat.set_link_day_bytes(1'000'000);
  EXPECT_NEAR(hours(absl::Minutes(16), 8), 16.0 / 60, 1e-6) << "of heartbeats";
  heartbeat.set_link_day_bytes(26'000'000);
  EXPECT_NEAR(hours(absl::Minutes(8), 8), 8.0 / 60, 1e-6);
  EXPECT_NEAR(hours(absl::Minutes(9), 8), 16 + 1.0 / 60, 1e-6);
  EXPECT_NEAR(hours(absl::Minutes(16), 24), 16.0 / 60, 1e-6) << "on the next day";
  heartbeat.set_link_day_bytes(60'000'000);
  EXPECT_NEAR(hours(absl::Minutes(1), 8), 16 + 1.0 / 60, 1e-6);
  heartbeat.set_unix_seconds(UnixSeconds(kMidnight - absl::Seconds(1)));
  EXPECT_NEAR(hours(absl::Minutes(16), 8), 16.0 / 60, 1e-6) << "told on the day before";
}

TEST(LinkTimesTest, ContactCountsInTheWindowsAlone) {
  const v1::Device device = TenMinutesADay();
  EXPECT_NEAR(Hours(Policy({"13:00-15:00"}), absl::Minutes(10), 0, device), 15, 1e-6);
  EXPECT_NEAR(Hours(Policy({"13:00-14:30"}), absl::Minutes(10), 0, device), 24 + 14.5, 1e-6)
      << "half of the hour";
  EXPECT_NEAR(Hours(Policy({}, kADay), absl::Minutes(15), 0, device), 24 + 14.5, 1e-6)
      << "less than the day's bytes";
}

TEST(LinkTimesTest, WhatNeverMeetsNeverEndsAndYearsAreEstimated) {
  EXPECT_EQ(Hours(Policy({"01:00-05:00"}), absl::Minutes(1), 0, TenMinutesADay()), -1);
  EXPECT_NEAR(Hours(Policy({"01:00-05:00"}), absl::Hours(4'000), 1), 24'000, 240);
}

class PlanOverLinkTest : public testing::Test {
 protected:
  PlanOverLinkTest() {
    DeviceView view = OrinNano("barn");
    view.device.mutable_info()->set_emulated(false);
    view.device.mutable_info()->clear_link_bytes_per_second();
    v1::LinkMeasure& link = *view.device.mutable_heartbeat()->mutable_link();
    link.set_download_bytes_per_second(kBytesPerSecond);
    link.set_upload_bytes_per_second(kBytesPerSecond);
    snapshot_ = MakeSnapshot({view}, profiles_);
    snapshot_.now = kMidnight;
    snapshot_.queue.push_back(RealJob("j1", 100));
    snapshot_.queue[0].submitted = kMidnight;
    snapshot_.queue[0].inputs[0].artifact.set_size_bytes(26'000'000);  // Ten minutes with the data.
  }
  v1::Candidate Told() {
    const auto plan = PlanQueue(snapshot_);
    EXPECT_EQ(plan[0].placement.device_id(), "id-barn") << plan[0].placement.reason();
    return plan[0].placement.best(0);
  }
  std::string RefusedBy() {
    const auto plan = PlanQueue(snapshot_);
    const v1::Placement& placement = plan[0].placement;
    return placement.refusals_size() > 0 ? placement.refusals(0).refused_by() : "";
  }

  const ProfileTable profiles_ = ProfileTable::Priors();
  Snapshot snapshot_;
};

TEST_F(PlanOverLinkTest, FetchAndUploadWaitForTheWindowAndThePlanSaysSo) {
  const v1::Candidate free = Told();
  EXPECT_NEAR(free.prediction().fetch_seconds(), 600, 1);
  snapshot_.policies = {Policy({"01:00-01:30"})};
  const v1::Candidate told = Told();
  EXPECT_NEAR(told.prediction().fetch_seconds(), 3600 + free.prediction().fetch_seconds(), 1e-3);
  EXPECT_NEAR(told.prediction().fetch_energy_joules(), free.prediction().fetch_energy_joules(),
              1e-6)
      << "waiting moves no bytes";
  EXPECT_THAT(told.prediction().provenance_note(),
              HasSubstr("; artifacts come and leave 01:00-01:30 UTC (policy night)"));
  // The result of a fine-tune is half a gigabyte: half an hour of each night.
  const double nights = free.prediction().upload_seconds() / 1800;
  EXPECT_NEAR(told.finish_in_seconds(), 86'400 * nights, 86'400);
}

TEST_F(PlanOverLinkTest, TheWaitForAWindowIsNoWorkOfTheDay) {
  snapshot_.now = kMidnight + absl::Hours(16);
  v1::Policy both = Policy({"09:00-11:00"});
  both.add_work_windows("08:00-18:00");
  snapshot_.policies = {both};
  snapshot_.queue[0].inputs[0].artifact.set_size_bytes(1'000'000);
  snapshot_.queue[0].spec.mutable_finetune()->mutable_lora()->set_rank(4);
  const v1::Candidate told = Told();
  EXPECT_NEAR(told.prediction().fetch_seconds(), 17 * 3600 + 100, 60);
  EXPECT_LT(told.finish_in_seconds(), 26 * 3600) << "on the next day";
}

TEST_F(PlanOverLinkTest, TheDaysBytesLastForDays) {
  snapshot_.policies = {Policy({}, 10'000'000)};
  const v1::Candidate told = Told();
  EXPECT_NEAR(told.prediction().fetch_seconds(), 3 * 86'400 + 6e6 / kBytesPerSecond, 1)
      << "8 MB of 30 a day";
  EXPECT_THAT(told.prediction().provenance_note(), HasSubstr("; the link carries 9.5 MiB a day"));
  v1::Heartbeat& heartbeat = *snapshot_.devices[0].device.mutable_heartbeat();
  heartbeat.set_unix_seconds(UnixSeconds(kMidnight));
  heartbeat.set_link_day_bytes(6'000'000);
  EXPECT_NEAR(Told().prediction().fetch_seconds(), 4 * 86'400 + 2e6 / kBytesPerSecond, 1)
      << "4 MB are left of the first day";
}

TEST_F(PlanOverLinkTest, ADeadlineHoldsWithTransfersAsSlowAsOneInTen) {
  const v1::Candidate told = Told();
  const double transfers = told.prediction().fetch_seconds() + told.prediction().upload_seconds();
  snapshot_.queue[0].spec.set_deadline_seconds(told.finish_in_seconds() + transfers);
  v1::LinkMeasure& link = *snapshot_.devices[0].device.mutable_heartbeat()->mutable_link();
  link.set_download_bytes_per_second_low(kBytesPerSecond / 1.5);
  EXPECT_EQ(Told().finish_in_seconds(), told.finish_in_seconds())
      << "the end is that of the median";
  link.set_download_bytes_per_second_low(kBytesPerSecond / 2.5);
  const absl::StatusOr<v1::PlanResponse> plan = PlanJob(snapshot_, snapshot_.queue[0]);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->candidates(0).refused_by(), "deadline");
}

TEST_F(PlanOverLinkTest, AJobWhoseFilesComeTooLateForItsDeadlineIsRefused) {
  snapshot_.queue[0].spec.set_deadline_seconds(20 * 3600);
  snapshot_.queue[0].inputs[0].artifact.set_size_bytes(1'000'000);
  snapshot_.queue[0].spec.mutable_finetune()->mutable_lora()->set_rank(4);
  EXPECT_LT(Told().finish_in_seconds(), 20 * 3600);
  snapshot_.policies = {Policy({"21:00-22:00"})};
  EXPECT_EQ(RefusedBy(), "deadline");
}

}  // namespace
}  // namespace wattle::scheduler
