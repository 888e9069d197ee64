// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Links of scenarios whose rate changes from hour to hour.
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "sim/hourly_link.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"
#include "tests/simulation/scenario_for_test.h"

namespace wattle::sim {
namespace {

TEST(HourlyLinkTest, ATransferFollowsTheRateOfEachHour) {
  const HourlyLink link({1000.0, 0.0, 10.0}, 900.0);
  int64_t left_bytes = 5'000'000;
  const double begin = 900.0 + 3000.0;
  double now = begin;
  while (left_bytes > 0) {
    const HourlyLink::Piece piece = link.NextPiece(left_bytes, now);
    ASSERT_GT(piece.seconds, 0.0);
    ASSERT_LE(piece.seconds, 60.0);
    left_bytes -= piece.bytes;
    now += piece.seconds;
  }
  EXPECT_EQ(left_bytes, 0);
  // The end of an hour of 1000 B/s, one of nothing, one of 10 B/s; the same again from the begin.
  EXPECT_NEAR(now - begin, 600.0 + 2 * 3600.0 + 3600.0 + 2 * 3600.0 + 728.0, 1.0);
  EXPECT_EQ(link.NextPiece(1000, 0.0).bytes, 1000) << "before its first hour";
}

// The rate of an hour of the day, for a file of one day.
absl::StatusOr<Scenario> ParseWithLinks(const std::string& text,
                                        const std::function<double(int hour)>& mbit) {
  return ParseScenario(text, "test.yaml", {}, [&mbit](const std::string& name) {
    const double factor = name == "slow.csv" ? 0.1 : 1.0;
    std::string link = "hour,mbit\n";
    for (int hour = 0; hour < 24; ++hour) {
      absl::StrAppend(&link, hour, ",", factor * mbit(hour), "\n");
    }
    return absl::StatusOr<std::string>(link);
  });
}

std::string OneFetch(const std::string& at) {
  return absl::StrCat(
      R"(duration: 30h
fleet:
  - {name: mast, class: jetson-orin-nano, link_mbit: link.csv}
data: {questions: {examples: 400}}
jobs:
  - {name: check, at: )",
      at,
      R"(, job: {evaluate: {model: distilgpt2, data: questions, sequence_length: 384}}}
)");
}

double WaitHours(const std::string& text, const std::function<double(int hour)>& mbit) {
  const auto scenario = ParseWithLinks(text, mbit);
  EXPECT_THAT(scenario, IsOk());
  const auto figures = RunScenario(*scenario, "ours", 1);
  EXPECT_THAT(figures, IsOk());
  EXPECT_EQ((*figures)[Figure::kDone], 1);
  return (*figures)[Figure::kWaitMeanHours];  // of the only job
}

TEST(LinksTest, AFetchEndsOnceTheNightBringsTheRate) {
  const auto constant = [](double mbit) { return [mbit](int /*hour*/) { return mbit; }; };
  // The model has some 330 MB.
  const double by_day = WaitHours(OneFetch("12h"), constant(0.25));
  EXPECT_NEAR(by_day, 3.0, 1.0);
  EXPECT_NEAR(WaitHours(OneFetch("12h"), constant(0.125)), 2 * by_day, 0.1);
  const auto good_at_night = [](int hour) { return hour >= 22 || hour < 6 ? 80.0 : 0.01; };
  EXPECT_NEAR(WaitHours(OneFetch("12h"), good_at_night), 10.0, 0.1);
  EXPECT_NEAR(WaitHours(OneFetch("23h"), good_at_night), 0.0, 0.1);
}

// Hours without a rate are cuts. Bytes from before a cut stay.
TEST(LinksTest, AnHourWithoutALinkCostsThatHour) {
  const auto without_hour_13 = [](int hour) { return hour == 13 ? 0.0 : 0.25; };
  const double whole = WaitHours(OneFetch("12h"), [](int /*hour*/) { return 0.25; });
  const double broken = WaitHours(OneFetch("12h"), without_hour_13);
  EXPECT_GT(broken, whole + 0.95);
  EXPECT_LT(broken, whole + 1.2);
}

// The coordinator gets no rates. Once both boards have measured their own, a model that neither has
// goes to the slower board, whose link is so much better.
TEST(LinksTest, TheCoordinatorLearnsTheRatesFromTheBoards) {
  const auto board_of_second = [](const std::string& first_jobs) -> std::string {
    const auto scenario = ParseWithLinks(absl::StrCat(R"(duration: 40h
fleet:
  - {name: quick, class: jetson-orin-nano, link_mbit: slow.csv}
  - {name: sluggish, class: jetson-xavier-nx, link_mbit: fast.csv}
data: {questions: {examples: 400}}
jobs:
)",
                                                      first_jobs, R"(
  - {name: second, at: 20h, job: {objective: time, evaluate: {model: gpt2, data: questions, sequence_length: 384}}}
)"),
                                         [](int /*hour*/) { return 5.0; });
    EXPECT_THAT(scenario, IsOk());
    Recording recording;
    EXPECT_THAT(RunScenario(*scenario, "ours", 1, nullptr, &recording), IsOk());
    for (const BoardRecord& board : recording.boards) {
      if (!board.attempts.empty() && board.attempts.back().group == "second") {
        return board.group;
      }
    }
    return "none";
  };
  EXPECT_EQ(board_of_second(""), "quick");
  EXPECT_EQ(board_of_second(R"(
  - {name: a, at: 1h, job: {required_labels: [group=quick], evaluate: {model: distilgpt2, data: questions, sequence_length: 384}}}
  - {name: b, at: 1h, job: {required_labels: [group=sluggish], evaluate: {model: distilgpt2, data: questions, sequence_length: 384}}})"),
            "sluggish");
}

TEST(LinksTest, TheSameSeedGivesTheSameRun) {
  const auto rate = [](int hour) { return hour < 12 ? 0.0 : 0.25; };
  const auto scenario = ParseWithLinks(OneFetch("10h"), rate);
  ASSERT_THAT(scenario, IsOk());
  const auto first = RunScenario(*scenario, "ours", 3);
  const auto again = RunScenario(*scenario, "ours", 3);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(first->fingerprint, again->fingerprint);
  EXPECT_EQ(first->steps, again->steps);
}

}  // namespace
}  // namespace wattle::sim
