// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/link.h"

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
