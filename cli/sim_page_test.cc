// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The whole page of wattle sim: two policies, a board on a pack that had a bad day and one on
// mains, and names that try to be more than text.
#include "cli/sim_page.h"

#include <string>
#include <vector>

#include "cli/page.h"
#include "cli/testing/golden_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kHostile[] = "<script src='http://x'>&\"\n\x1b[31m";

sim::Scenario SampleScenario() {
  sim::Scenario scenario;
  scenario.name = "site";
  scenario.duration_seconds = 36 * sim::kSecondsOfHour;
  scenario.fleet.resize(2);
  for (const char* name : {"tune", "check"}) {
    scenario.jobs.emplace_back().spec.set_name(name);
  }
  scenario.cuts = {{"pi", 10 * sim::kSecondsOfHour, 12 * sim::kSecondsOfHour}};
  scenario.policies = {"ours", "fastest"};
  scenario.seeds = 3;
  scenario.first_seed = 5;
  return scenario;
}

sim::BoardRecord BoardOnPack() {
  sim::BoardRecord board;
  board.name = "mast-1";
  board.group = "mast";
  board.device_class = "jetson-orin-nano";
  board.reserve = Fraction(0.3);
  board.attempts = {{.job = "tune-1",
                     .group = "tune",
                     .begin_seconds = 3600,
                     .end_seconds = 30'000,
                     .state = v1::ATTEMPT_STATE_FINISHED,
                     .reason = "succeeded",
                     .energy = Joules(200'000)},
                    {.job = "check-1",
                     .group = "check",
                     .begin_seconds = 40'000,
                     .end_seconds = 40'900,
                     .state = v1::ATTEMPT_STATE_FAILED,
                     .reason = "the runner crashed",
                     .energy = Joules(3000)},
                    {.job = "tune-2",
                     .group = "tune",
                     .begin_seconds = 90'000,
                     .end_seconds = 129'600,
                     .state = v1::ATTEMPT_STATE_PAUSED,
                     .reason = "charge 31 %, reserve 30 %"}};
  for (int i = 0; i <= 12; ++i) {
    sim::PackSample sample;
    sample.at_seconds = 3.0 * sim::kSecondsOfHour * i;
    sample.charge = Fraction(0.9 - 0.06 * i);
    sample.sun = Watts(i % 8 >= 2 && i % 8 < 6 ? 20 : 0);
    if (i > 2) {
      sample.expected_sun = Watts(i % 8 >= 2 && i % 8 < 6 ? 25 : 0);
    }
    board.pack.push_back(sample);
  }
  return board;
}

sim::BoardRecord BoardOnMains() {
  sim::BoardRecord board;
  board.name = "pi-1";
  board.group = "pi";
  board.device_class = "raspberry-pi-5";
  board.attempts = {{.job = "check-1",
                     .group = "check",
                     .begin_seconds = 36'000,
                     .end_seconds = 37'000,
                     .state = v1::ATTEMPT_STATE_SUPERSEDED,
                     .reason = "moved to mast-1"}};
  return board;
}

std::vector<sim::PolicyResult> SampleResults() {
  std::vector<sim::PolicyResult> results(2);
  for (size_t i = 0; i < results.size(); ++i) {
    sim::PolicyResult& result = results[i];
    result.policy = i == 0 ? "ours" : "fastest";
    for (size_t figure = 0; figure < sim::kFigures; ++figure) {
      const auto value = static_cast<double>(figure + i);
      result.figures[figure] = {value, value, value + static_cast<double>(i)};
    }
    sim::Recording& recording = result.recording.emplace();
    recording.seed = 5;
    recording.boards = {BoardOnPack(), BoardOnMains()};
    recording.energy.idle = Joules(400'000);
    recording.energy.attempts = Joules(250'000);
    recording.energy.phases = {{v1::ATTEMPT_PHASE_LOAD, 10.0, Joules(1000)},
                               {v1::ATTEMPT_PHASE_TRAIN, 26'000.0, Joules(199'000)}};
  }
  results[1].recording->boards[0].attempts.clear();
  results[1].recording->energy.phases = {{v1::ATTEMPT_PHASE_EVALUATE, 900.0, Joules(4000)}};
  results[1].recording->lost_jobs = {{.job = "tune-2",
                                      .missed = true,
                                      .state = v1::JOB_STATE_QUEUED,
                                      .reason = "waits for charge",
                                      .late_seconds = 7800},
                                     {.job = "check-1",
                                      .missed = false,
                                      .state = v1::JOB_STATE_FAILED,
                                      .reason = "the runner crashed",
                                      .late_seconds = 0}};
  return results;
}

TEST(SimPageTest, AForecastIsADottedLineWithALegend) {
  sim::Scenario scenario = SampleScenario();
  std::vector<sim::PolicyResult> results = SampleResults();
  EXPECT_THAT(SimPage(scenario, results), Not(HasSubstr("Dotted")));
  scenario.forecast_error = 0.5;
  for (sim::PackSample& sample : results[0].recording->boards[0].pack) {
    sample.told_sun = Watts(40);
  }
  const std::string page = SimPage(scenario, results);
  EXPECT_THAT(page, HasSubstr("Dotted: what the pushed forecast tells of that hour."));
  EXPECT_THAT(page, HasSubstr("<polyline class=\"told\" points=\"0.0,"));
  EXPECT_THAT(page, HasSubstr(">40.00 W<")) << "the scale holds it";
}

TEST(SimPageTest, Golden) {
  const std::string page = SimPage(SampleScenario(), SampleResults());
  ExpectGolden("sim.html", page);
  EXPECT_EQ(page, SimPage(SampleScenario(), SampleResults()));
  EXPECT_THAT(page, AllOf(Not(HasSubstr("http")), Not(HasSubstr("<script"))));
}

TEST(SimPageTest, SaysWhichSeedItDraws) {
  EXPECT_THAT(SimPage(SampleScenario(), SampleResults()),
              AllOf(HasSubstr("seeds 5 to 7; median (90 % of the seeds)"),
                    HasSubstr("shows seed 5 alone, the first one of each policy"),
                    HasSubstr("<h2>fastest, seed 5</h2>")));
}

// Text from a file or a run stays text.
TEST(SimPageTest, HostileNamesStayText) {
  sim::Scenario scenario = SampleScenario();
  scenario.name = kHostile;
  scenario.jobs[0].spec.set_name(kHostile);
  std::vector<sim::PolicyResult> results = SampleResults();
  results[0].policy = kHostile;
  sim::Recording& recording = *results[0].recording;
  sim::BoardRecord& board = recording.boards[0];
  board.name = kHostile;
  board.device_class = kHostile;
  board.shared_pack = kHostile;
  board.attempts[0].group = kHostile;
  board.attempts[0].job = kHostile;
  board.attempts[1].reason = kHostile;
  recording.lost_jobs = {{.job = kHostile, .reason = kHostile}};
  const std::string page = SimPage(scenario, results);
  EXPECT_THAT(page,
              AllOf(Not(HasSubstr("<script")), Not(HasSubstr("'http")), Not(HasSubstr("\x1b")),
                    HasSubstr("&lt;script src=&#39;http://x&#39;&gt;&amp;&quot; ?[31m")));
}

TEST(SimPageTest, ABoardNamesThePackThatItShares) {
  std::vector<sim::PolicyResult> results = SampleResults();
  results[0].recording->boards[0].shared_pack = "north";
  EXPECT_THAT(SimPage(SampleScenario(), results),
              AllOf(HasSubstr("<h3>mast-1 <small>jetson-orin-nano, pack north</small></h3>"),
                    HasSubstr("<h3>pi-1 <small>raspberry-pi-5, on mains</small></h3>")));
}

TEST(SimPageTest, APolicyWithoutARecordingHasItsFigures) {
  std::vector<sim::PolicyResult> results = SampleResults();
  results[0].recording.reset();
  EXPECT_THAT(SimPage(SampleScenario(), results),
              AllOf(HasSubstr("<tr><td>ours</td>"), Not(HasSubstr("<h2>ours"))));
  results[1].recording.reset();
  EXPECT_THAT(SimPage(SampleScenario(), results),
              AllOf(HasSubstr("<tr><td>fastest</td>"), Not(HasSubstr("<svg"))));
}

TEST(PageTest, TextIsEscaped) {
  EXPECT_EQ(Escaped("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  EXPECT_EQ(Escaped("one\ntwo\xff"), "one two?");
}

std::string HourOf(double seconds) {
  return std::to_string(static_cast<int>(seconds / sim::kSecondsOfHour));
}

// At most a dozen lines at whole hours, both for an hour and for a year.
TEST(PageTest, LinesAreNeverTooMany) {
  const auto lines = [](double hours) {
    const std::string svg = Drawing(0, hours * sim::kSecondsOfHour, HourOf).Svg("board", 10, "");
    int count = 0;
    for (size_t at = svg.find("<line"); at != std::string::npos; at = svg.find("<line", at + 1)) {
      ++count;
    }
    return count;
  };
  EXPECT_EQ(lines(1), 1);
  EXPECT_EQ(lines(12), 12);
  EXPECT_EQ(lines(13), 5);
  EXPECT_EQ(lines(24 * 12), 12);
  EXPECT_EQ(lines(24 * 366), 12);
}

}  // namespace
}  // namespace wattle::cli
