// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/chart.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "cli/job_view.h"
#include "cli/table.h"
#include "cli/testing/golden_text.h"
#include "cli/testing/sample_messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

v1::Job JobWithCurve() {
  v1::Job job = SampleRetriedJob();
  v1::Receipt& receipt = *job.mutable_attempts(1)->mutable_receipt();
  for (int i = 1; i <= 40; ++i) {
    v1::CurvePoint& point = *receipt.add_curve();
    point.set_seconds(i * 12.5);
    point.set_step(i * 5);
    point.set_loss(1.0 + 3.0 * std::exp(-i / 10.0));
    point.set_heldout_loss(i % 10 == 0 ? point.loss() + 0.3 : 0.0);
    point.set_has_power(i != 7);  // a gap in the samples
    point.set_power_watts(point.has_power() ? (i > 20 ? 9.5 : 12.0) : 0.0);
  }
  return job;
}

TEST(ChartTest, LossAndWattsOfAJob) {
  ExpectGolden("job_chart.txt", RenderJobChart(JobWithCurve(), {}));
  const std::string ascii = RenderJobChart(JobWithCurve(), {.unicode = false});
  ExpectGolden("job_chart_ascii.txt", ascii);
  for (const char c : ascii) {
    ASSERT_TRUE(absl::ascii_isascii(static_cast<unsigned char>(c))) << ascii;
  }
}

TEST(ChartTest, NeverWiderThanTheTerminal) {
  for (const int width : {30, 40, 80, 99, 140, 400}) {
    for (const absl::string_view line :
         absl::StrSplit(RenderJobChart(JobWithCurve(), {.width_columns = width}), '\n')) {
      if (!absl::StrContains(line, " of j5.2 ")) {  // titles are sentences and may be longer
        EXPECT_LE(DisplayWidth(line), static_cast<size_t>(width));
      }
    }
  }
}

TEST(ChartTest, ARunningJobIsChartedToo) {
  v1::Job job = SampleRetriedJob();
  job.mutable_attempts(1)->clear_receipt();
  job.mutable_attempts(1)->set_emulated(true);
  EXPECT_EQ(RenderJobChart(job, {}), "no curve of j5: no attempt has told of a step\n");
  v1::CurvePoint& point = *job.mutable_attempts(1)->add_curve();
  point.set_seconds(3);
  point.set_has_power(true);
  point.set_power_watts(7.5);
  const std::string chart = RenderJobChart(job, {});
  EXPECT_THAT(chart, StartsWith("watts of j5.2 over device seconds of the run, emulated\n"));
  EXPECT_THAT(chart, Not(HasSubstr("loss"))) << "a job without a loss";
}

// For each row, the columns of its dots as displayed.
std::vector<std::string> Rows(const Chart& chart) {
  std::vector<std::string> rows;
  for (const absl::string_view line :
       absl::StrSplit(RenderChart(chart, {.width_columns = 30, .unicode = false}), '\n')) {
    const size_t axis = line.find('|');
    if (axis != absl::string_view::npos) {
      rows.emplace_back(line.substr(axis + 1));
    }
  }
  return rows;
}

TEST(ChartTest, ValuesLieWhereTheAxesSay) {
  const Chart rising = {
      .title = "t", .line = {{0, 0}, {10, 7}}, .marks = {}, .from_zero = true, .x_unit = "s"};
  const std::vector<std::string> rows = Rows(rising);
  ASSERT_EQ(rows.size(), 8U);
  EXPECT_THAT(rows[7], StartsWith("*"));
  EXPECT_THAT(rows[0], StartsWith("    ")) << "the top is reached at the right alone";
  EXPECT_EQ(rows[0].back(), '*');
  EXPECT_GT(rows[0].size(), rows[4].size());
}

TEST(ChartTest, WhatIsNoNumberIsLeftOut) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(RenderChart({.title = "t", .line = {{0, nan}}, .marks = {}, .x_unit = "s"}, {}), "");
  const std::string one =
      RenderChart({.title = "t", .line = {{0, nan}, {1, 5}}, .marks = {}, .x_unit = "s"}, {});
  EXPECT_THAT(one, HasSubstr("5.5")) << "one value has a range around it";
}

TEST(JobChartTest, ACurveWithNothingToDrawSaysSo) {
  v1::Job job;
  v1::Attempt& attempt = *job.add_attempts();
  attempt.set_attempt_id("j1.1");
  attempt.mutable_receipt()->add_curve()->set_seconds(0.1);
  EXPECT_THAT(RenderJobChart(job, {}),
              testing::HasSubstr("no curve of j1.1: its steps have no loss"));
}

}  // namespace
}  // namespace wattle::cli
