// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/export/metrics_page.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::telemetry {
namespace {

using testing::Eq;
using testing::HasSubstr;

TEST(MetricsPageTest, SeriesOfOneNameStandTogetherWithOneHeader) {
  MetricsPage page;
  page.Gauge("wattle_a_watts", "A.", {{"device", "x"}}, 1.5);
  page.Counter("wattle_b_total", "B.", {}, 7);
  page.Gauge("wattle_a_watts", "A.", {{"device", "y"}}, 2);
  EXPECT_THAT(page.Text(), Eq("# HELP wattle_a_watts A.\n"
                              "# TYPE wattle_a_watts gauge\n"
                              "wattle_a_watts{device=\"x\"} 1.5\n"
                              "wattle_a_watts{device=\"y\"} 2\n"
                              "# HELP wattle_b_total B.\n"
                              "# TYPE wattle_b_total counter\n"
                              "wattle_b_total 7\n"));
}

TEST(MetricsPageTest, LabelValuesAreEscaped) {
  MetricsPage page;
  page.Gauge("wattle_a_info", "A.", {{"name", "a\"b\\c\nd"}}, 1);
  EXPECT_THAT(page.Text(), HasSubstr("name=\"a\\\"b\\\\c\\nd\""));
}

TEST(MetricsPageTest, HistogramBucketsAreCumulativeAndBoundsInclusive) {
  HistogramValue seconds({0.1, 1.0});
  seconds.Observe(0.1);
  seconds.Observe(0.5);
  seconds.Observe(9.0);
  MetricsPage page;
  page.Histogram("wattle_h_seconds", "H.", {}, seconds);
  EXPECT_THAT(page.Text(), HasSubstr("wattle_h_seconds_bucket{le=\"0.1\"} 1\n"));
  EXPECT_THAT(page.Text(), HasSubstr("wattle_h_seconds_bucket{le=\"1\"} 2\n"));
  EXPECT_THAT(page.Text(), HasSubstr("wattle_h_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(page.Text(), HasSubstr("wattle_h_seconds_count 3\n"));
}

TEST(MetricsPageDeathTest, ATypeCannotChange) {
  MetricsPage page;
  page.Gauge("wattle_a", "A.", {}, 1);
  EXPECT_DEATH(page.Counter("wattle_a", "A.", {}, 1), "one name has one type");
}

}  // namespace
}  // namespace wattle::telemetry
