// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/transfer_rate.h"

#include "gtest/gtest.h"

namespace wattle::scheduler {
namespace {

TEST(LinkTest, AMeasuredLinkCountsAndAnUnknownOneIsAssumed) {
  v1::Device device;
  EXPECT_EQ(LinkOf(device).download_bytes_per_second, 1.25e6);
  EXPECT_EQ(LinkWords(device), "link assumed 1.2 MiB/s");
  v1::LinkMeasure& measure = *device.mutable_heartbeat()->mutable_link();
  measure.set_upload_bytes_per_second(20e3);
  EXPECT_EQ(LinkOf(device).download_bytes_per_second, 20e3);
  measure.set_download_bytes_per_second(50e3);
  EXPECT_EQ(LinkOf(device).download_bytes_per_second, 50e3);
  EXPECT_EQ(LinkOf(device).upload_bytes_per_second, 20e3);
  EXPECT_EQ(LinkWords(device), "link measured 48.8 KiB/s");
  device.mutable_info()->set_link_bytes_per_second(7);
  EXPECT_EQ(LinkOf(device).download_bytes_per_second, 7);
  EXPECT_EQ(LinkWords(device), "");
}

// 600 MB at 50 kB/s for ten minutes a day are twenty days.
TEST(LinkTest, ALinkThatIsThereTenMinutesADayTakesTheLonger) {
  v1::Device device;
  v1::LinkMeasure& measure = *device.mutable_heartbeat()->mutable_link();
  measure.set_download_bytes_per_second(50e3);
  for (int hour = 0; hour < 168; ++hour) {
    measure.add_contact_ratio_by_hour(hour % 24 == 14 ? 1.0F / 6 : 0);
  }
  const LinkEstimate link = LinkOf(device);
  EXPECT_NEAR(600e6 / link.download_bytes_per_second / 86400, 20, 0.1);
  EXPECT_EQ(LinkWords(device), "link measured 48.8 KiB/s, there for 0.694 % of the time");
}

TEST(LinkTest, AnHourOrTwoTellNothingOfTheContact) {
  v1::Device device;
  for (int hour = 0; hour < 168; ++hour) {
    device.mutable_heartbeat()->mutable_link()->add_contact_ratio_by_hour(hour == 3 ? 0 : -1);
  }
  EXPECT_EQ(LinkOf(device).download_bytes_per_second, 1.25e6);
}

// Contact on Mondays and Tuesdays from 14:00 to 14:10, observed for three days.
ContactWeek ThreeDays(v1::Device& device) {
  v1::LinkMeasure& measure = *device.mutable_heartbeat()->mutable_link();
  measure.clear_contact_ratio_by_hour();
  for (int hour = 0; hour < 168; ++hour) {
    measure.add_contact_ratio_by_hour(hour >= 72 ? -1 : hour % 24 == 14 ? 1.0F / 6 : 0);
  }
  const auto week = ContactWeek::Of(device);
  EXPECT_TRUE(week.has_value());
  return week.value_or(ContactWeek());
}

TEST(ContactWeekTest, DaysThatWereNotSeenAreLikeTheOthers) {
  v1::Device device;
  EXPECT_NEAR(ThreeDays(device).ratio(), 1.0 / 144, 1e-6);
  EXPECT_EQ(LinkOf(device).contact_ratio, ThreeDays(device).ratio());
}

TEST(ContactWeekTest, ContactComesInItsHours) {
  v1::Device device;
  const ContactWeek week = ThreeDays(device);
  const absl::Time thursday = absl::FromUnixSeconds(1'893'456'000) + absl::Hours(48);
  ASSERT_EQ(absl::GetWeekday(absl::ToCivilDay(thursday, absl::UTCTimeZone())),
            absl::Weekday::thursday);
  const auto takes = [&](absl::Duration contact, absl::Duration of_day, bool here = false) {
    return absl::ToDoubleHours(week.TimeFor(contact, thursday + of_day, here));
  };
  EXPECT_NEAR(takes(absl::Minutes(5), absl::Hours(8)), 6.5, 0.01) << "the middle of the hour";
  EXPECT_NEAR(takes(absl::Minutes(5), absl::Hours(14), /*here=*/true), 5.0 / 60, 0.001);
  EXPECT_NEAR(takes(absl::Minutes(10), absl::Hours(14), /*here=*/true), 10.0 / 60, 0.001);
  EXPECT_NEAR(takes(absl::Minutes(15), absl::Hours(14), /*here=*/true), 24.5, 0.01);
  EXPECT_NEAR(takes(absl::Minutes(15), absl::Hours(15)), 23 + 24 + 0.5, 0.01);
  EXPECT_NEAR(takes(absl::Minutes(70), absl::Hours(15)), 23 + 6 * 24 + 1, 0.01) << "a week";
  EXPECT_NEAR(takes(absl::Minutes(200), absl::Hours(15)), 23 + 19 * 24 + 1, 0.01);
}

TEST(ContactWeekTest, ContactOfASpanIsWhatATransferNeedsItFor) {
  v1::Device device;
  const ContactWeek week = ThreeDays(device);
  const absl::Time monday = absl::FromUnixSeconds(1'893'456'000) - absl::Hours(24);
  const auto minutes = [&](double begin, double end, bool here = false) {
    return absl::ToDoubleMinutes(
        week.ContactIn(monday + absl::Hours(begin), monday + absl::Hours(end), here));
  };
  EXPECT_EQ(minutes(0, 14), 0);
  EXPECT_NEAR(minutes(0, 24), 10, 1e-6);
  EXPECT_NEAR(minutes(13.5, 14.5), 5, 1e-6) << "half of the hour";
  EXPECT_NEAR(minutes(14, 14.5, /*here=*/true), 10, 1e-6);
  EXPECT_NEAR(minutes(14, 14.1, /*here=*/true), 6, 1e-6);
  EXPECT_NEAR(minutes(15, 15 + 7 * 24), 70, 1e-4);
  EXPECT_EQ(minutes(15, 15), 0);
}

TEST(ContactWeekTest, ALinkThatWasNeverThereTakesLongAndNotForEver) {
  v1::Device device;
  for (int hour = 0; hour < 168; ++hour) {
    device.mutable_heartbeat()->mutable_link()->add_contact_ratio_by_hour(0);
  }
  EXPECT_NEAR(
      absl::FDivDuration(ContactWeek::Of(device)->TimeFor(absl::Hours(1), absl::UnixEpoch(), true),
                         absl::Hours(1)),
      1000, 1e-6);
}

TEST(ContactWeekTest, ALinkThatIsAlwaysThereOrTellsItsRateHasNone) {
  v1::Device device;
  device.mutable_heartbeat()->mutable_link()->mutable_contact_ratio_by_hour()->Resize(168, 0.97F);
  EXPECT_FALSE(ContactWeek::Of(device).has_value());
  v1::Device told;
  ThreeDays(told);
  told.mutable_info()->set_link_bytes_per_second(7);
  EXPECT_FALSE(ContactWeek::Of(told).has_value());
}

TEST(LinkTest, TheLeaseBearsATransferAsSlowAsOneInTen) {
  v1::Prediction prediction;
  prediction.set_fetch_seconds(100);
  prediction.set_upload_seconds(20);
  EXPECT_EQ(SlowLinkSeconds({}, prediction), 0);
  v1::LinkMeasure measure;
  measure.set_download_bytes_per_second(50e3);
  measure.set_download_bytes_per_second_low(10e3);
  EXPECT_EQ(SlowLinkSeconds(measure, prediction), 480);
}

}  // namespace
}  // namespace wattle::scheduler
