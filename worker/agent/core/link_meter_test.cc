// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/link_meter.h"

#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

constexpr int64_t kMegabyte = 1'000'000;
const absl::Time kMonday = absl::FromUnixSeconds(1'899'417'600);  // 2030-03-11 00:00 UTC

policy::KnownTime Known(absl::Duration since_monday) {
  return {kMonday + since_monday, absl::ZeroDuration(), policy::TimeSource::kKernel};
}

TEST(LinkMeterTest, TellsTheMedianAndTheTenthsOfTheLatestTransfers) {
  LinkMeter meter;
  EXPECT_FALSE(meter.measured());
  for (int rate = 1; rate <= 40; ++rate) {
    meter.OnFetched(rate * kMegabyte, absl::Seconds(1));
  }
  EXPECT_NEAR(meter.measure().download_bytes_per_second(), 30.5 * kMegabyte, kMegabyte);
  EXPECT_NEAR(meter.measure().download_bytes_per_second_low(), 23 * kMegabyte, kMegabyte);
  EXPECT_NEAR(meter.measure().download_bytes_per_second_high(), 38 * kMegabyte, kMegabyte);
  EXPECT_EQ(meter.measure().upload_bytes_per_second(), 0);
}

TEST(LinkMeterTest, ASmallTransferIsNoMeasurement) {
  LinkMeter meter;
  meter.OnFetched(LinkMeter::kMeasuredBytesMin - 1, absl::Seconds(1));
  meter.OnUploaded(kMegabyte, absl::ZeroDuration());
  EXPECT_FALSE(meter.measured());
}

TEST(LinkMeterTest, ARestartKeepsWhatWasMeasuredAndCounted) {
  LinkMeter before;
  before.OnFetched(kMegabyte, absl::Seconds(20));
  before.OnUploaded(kMegabyte, absl::Seconds(40));
  before.OnRoundTrip(absl::Milliseconds(600));
  v1::LinkBytes bytes;
  bytes.set_fetched(kMegabyte);
  before.Count(bytes);
  LinkMeter after(before.record());
  EXPECT_EQ(after.measure().download_bytes_per_second(), 50'000);
  EXPECT_EQ(after.bytes().fetched(), kMegabyte);
  after.OnFetched(kMegabyte, absl::Seconds(10));
  EXPECT_EQ(after.measure().download_bytes_per_second(), 50'000) << "one value changes little";
  after.OnRoundTrip(absl::Milliseconds(400));
  EXPECT_NEAR(after.measure().round_trip_seconds(), 0.6, 1e-9);
}

// Ten minutes a day with a link, at 14:00.
TEST(LinkMeterTest, LearnsAtWhichHoursOfTheWeekThereIsContact) {
  LinkMeter meter;
  EXPECT_EQ(meter.measure().contact_ratio_by_hour_size(), 0);
  for (absl::Duration at{}; at <= absl::Hours(8 * 24); at += absl::Minutes(1)) {
    const absl::Duration of_day = at % absl::Hours(24);
    meter.Observe(of_day > absl::Hours(14) && of_day <= absl::Hours(14) + absl::Minutes(10),
                  Monotonic(at), Known(at));
  }
  const auto& ratios = meter.measure().contact_ratio_by_hour();
  ASSERT_EQ(ratios.size(), 168);
  EXPECT_NEAR(ratios[14], 1.0 / 6, 0.01);
  EXPECT_NEAR(ratios[24 * 6 + 14], 1.0 / 6, 0.01);
  EXPECT_NEAR(ratios[15], 0, 1e-6);
}

TEST(LinkMeterTest, HoursOfAnUnknownTimeTellNothing) {
  LinkMeter meter;
  for (absl::Duration at{}; at <= absl::Hours(5); at += absl::Minutes(1)) {
    meter.Observe(true, Monotonic(at), {});
  }
  EXPECT_EQ(meter.measure().contact_ratio_by_hour_size(), 0);
}

TEST(LinkMeterTest, TheDaysBytesBeginAnewOnceTheDayIsKnownToHaveChanged) {
  LinkMeter meter;
  v1::LinkBytes bytes;
  bytes.set_uploaded(7);
  meter.Observe(true, Monotonic(absl::Seconds(1)), Known(absl::Hours(23)));
  meter.Count(bytes);
  EXPECT_EQ(meter.day_bytes(), 7);
  meter.Observe(true, Monotonic(absl::Hours(2)), {});
  meter.Count(bytes);
  EXPECT_EQ(meter.day_bytes(), 14);
  policy::KnownTime about = Known(absl::Hours(24));
  about.error = absl::Hours(1);
  meter.Observe(true, Monotonic(absl::Hours(3)), about);
  EXPECT_EQ(meter.day_bytes(), 14);
  meter.Observe(true, Monotonic(absl::Hours(4)), Known(absl::Hours(25)));
  EXPECT_EQ(meter.day_bytes(), 0);
  EXPECT_EQ(meter.bytes().uploaded(), 14);
}

TEST(LinkMeterTest, AClockThatWasAheadKeepsNoDaysBytesForLongerThanADay) {
  LinkMeter meter;
  v1::LinkBytes bytes;
  bytes.set_uploaded(7);
  // Ten days ahead, as reported by a coordinator, and then right again.
  meter.Observe(true, Monotonic(absl::Hours(1)), Known(absl::Hours(10 * 24)));
  meter.Count(bytes);
  for (int hour = 2; hour < 26; ++hour) {
    meter.Observe(true, Monotonic(absl::Hours(hour)), Known(absl::Hours(hour)));
    EXPECT_EQ(meter.day_bytes(), 7) << "no bytes twice";
  }
  meter.Observe(true, Monotonic(absl::Hours(26)), Known(absl::Hours(26)));
  EXPECT_EQ(meter.day_bytes(), 0);
  EXPECT_EQ(meter.record().day(), 21984 + 1) << "the true day, from which the next one follows";
  // A clock that is late for some hours starts no day anew.
  meter.Count(bytes);
  meter.Observe(true, Monotonic(absl::Hours(27)), Known(absl::Hours(20)));
  meter.Observe(true, Monotonic(absl::Hours(30)), Known(absl::Hours(30)));
  EXPECT_EQ(meter.day_bytes(), 7);
}

TEST(LinkMeterTest, ADayThatAClockLeftInTheFutureIsDoubtedOverRestarts) {
  LinkMeter meter;
  v1::LinkBytes bytes;
  bytes.set_uploaded(7);
  meter.Observe(true, Monotonic(absl::Hours(1)), Known(absl::Hours(10 * 24)));
  meter.Count(bytes);
  for (int boot = 0; boot < 4; ++boot) {
    EXPECT_EQ(meter.day_bytes(), 7) << "no bytes twice";
    meter = LinkMeter(meter.record());
    for (int hour = 0; hour <= 6; ++hour) {
      meter.Observe(true, Monotonic(absl::Hours(hour)), Known(absl::Hours(24 * boot + hour)));
    }
  }
  EXPECT_EQ(meter.day_bytes(), 0);
}

TEST(LinkMeterTest, EachMessageCountsForItsPurpose) {
  v1::LinkBytes bytes;
  v1::WorkerMessage message;
  message.mutable_heartbeat_changes()->mutable_changed()->set_unix_seconds(1);
  CountMessage(message, bytes);
  EXPECT_EQ(bytes.heartbeats(), static_cast<int64_t>(message.ByteSizeLong()) + kFrameBytes);
  message.mutable_log()->set_text("x");
  CountMessage(message, bytes);
  EXPECT_GT(bytes.logs(), kFrameBytes);
  message.mutable_report();
  CountMessage(message, bytes);
  EXPECT_GT(bytes.reports(), kFrameBytes);
  message.mutable_metrics();
  CountMessage(message, bytes);
  EXPECT_GT(bytes.metrics(), kFrameBytes);
  CountMessage(v1::CoordinatorMessage(), bytes);
  EXPECT_EQ(bytes.other(), kFrameBytes);
  EXPECT_EQ(TotalBytes(bytes),
            bytes.heartbeats() + bytes.logs() + bytes.reports() + bytes.metrics() + bytes.other());
}

}  // namespace
}  // namespace wattle::agent
