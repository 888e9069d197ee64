// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle sim as a person types it: identical bytes each time, the table and the JSON, what-if
// changes, and one line for each wrong input.
#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <nlohmann/json.hpp>

namespace wattle::cli {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kScenario[] = R"(name: small
duration: 6h
fleet:
  - {name: mast, class: jetson-orin-nano, pack_wh: 60, reserve: 0.3}
rates: {seconds_spread: 0.2}
data: {questions: {examples: 400}}
jobs:
  - {name: tune, per_day: 12, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 256}}}
policy: [ours, fastest]
seeds: 3
)";

class SimTest : public ProgramTest {
 protected:
  void ExpectError(const std::vector<std::string>& arguments, const std::string& text) {
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(StartsWith("wattle: "), HasSubstr(text)));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  }
  [[nodiscard]] std::string ReadBack(const std::string& name) const {
    std::ifstream file(Path(name));
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
};

TEST_F(SimTest, PrintsTheSameBytesEachTimeAndARowForEachPolicy) {
  const std::string file = Write("small.yaml", kScenario);
  const Result first = Run({"sim", file, "--runs"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, Run({"sim", file, "--runs"}).out);
  EXPECT_THAT(first.out, AllOf(StartsWith("small: 1 board, 6 h 00 min, seeds 1 to 3; median"),
                               HasSubstr("\nours "), HasSubstr("\nfastest "),
                               HasSubstr("guard stops"), HasSubstr("jetson-orin-nano  tune")));
  EXPECT_NE(first.out, Run({"sim", file, "--runs", "--seed", "11"}).out);
  EXPECT_THAT(Run({"sim", file, "--seeds", "1", "--seed", "7"}).out, HasSubstr(", seed 7\n"));
}

TEST_F(SimTest, NamesTheClockThatASunFileWasTakenToHave) {
  std::string sun = "Long (deg W):,105.18\nMonth,Plane of Array Irradiance (W/m^2)\n";
  for (int hour = 0; hour < 24; ++hour) {
    absl::StrAppend(&sun, "1,", hour >= 6 && hour < 18 ? 500 : 0, "\n");
  }
  (void)Write("denver.csv", sun);
  const std::string file =
      Write("sunny.yaml",
            absl::StrReplaceAll(kScenario, {{"reserve: 0.3", "reserve: 0.3, panel_watts: 40"},
                                            {"rates:", "sun: {file: denver.csv}\nrates:"}}));
  constexpr char kClock[] = "The hours of denver.csv are taken as those of UTC-7, by its longitude";
  EXPECT_THAT(Run({"sim", file}).out, HasSubstr(absl::StrCat("\n", kClock)));
  EXPECT_THAT(Run({"sim", file, "--html", "-"}).out, HasSubstr(absl::StrCat(". ", kClock)));
  EXPECT_THAT(nlohmann::json::parse(Run({"-o", "json", "sim", file}).out)["sun_clock"],
              StartsWith(kClock));
}

TEST_F(SimTest, TheJsonFileIsTheJsonAnswer) {
  const std::string file = Write("small.yaml", kScenario);
  const Result printed = Run({"-o", "json", "sim", file, "--json", Path("figures.json")});
  EXPECT_EQ(printed.code, 0) << printed.err;
  EXPECT_EQ(printed.out, ReadBack("figures.json"));
  EXPECT_EQ(Run({"sim", file, "--json", "-"}).out, printed.out);
  EXPECT_EQ(Run({"sim", file, "--json", "-", "--html", "-"}).code, 2);
  const auto document = nlohmann::json::parse(printed.out);
  EXPECT_EQ(document["seeds"], 3);
  EXPECT_EQ(document["policies"].size(), 2);
  EXPECT_EQ(document["policies"][0]["policy"], "ours");
  EXPECT_GT(document["policies"][0]["jobs_done"]["high"], 0);
  EXPECT_EQ(document["policies"][0]["reserve_breaches"]["high"], 0);
  const auto& truth = document["truth_of_first_seed"];
  ASSERT_EQ(truth.size(), 1);
  EXPECT_EQ(truth[0]["group"], "mast");
  EXPECT_EQ(truth[0]["pack_watt_hours"], 60);
  EXPECT_EQ(truth[0]["reserve_ratio"], 0.3);
  EXPECT_EQ(truth[0]["sun_watts"].size(), 0) << "the group has no panel";
  EXPECT_EQ(truth[0]["boards"][0]["board"], "mast-1");
  EXPECT_EQ(truth[0]["boards"][0]["jobs"][0]["job"], "tune");
  EXPECT_GT(truth[0]["boards"][0]["jobs"][0]["seconds"], 60);
}

// The page leaves the answer unchanged and has identical bytes each time.
TEST_F(SimTest, TheHtmlFileIsAPageOfItsOwn) {
  const std::string file = Write("small.yaml", kScenario);
  const Result plain = Run({"sim", file});
  const Result first = Run({"sim", file, "--html", Path("first.html")});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, plain.out);
  EXPECT_EQ(Run({"sim", file, "--html", Path("again.html")}).code, 0);
  const std::string page = ReadBack("first.html");
  EXPECT_EQ(page, ReadBack("again.html"));
  EXPECT_THAT(page, AllOf(StartsWith("<!DOCTYPE html>"), HasSubstr("<h2>ours, seed 1</h2>"),
                          HasSubstr("<h2>fastest, seed 1</h2>"), HasSubstr("<h3>mast-1 "),
                          HasSubstr(">tune-1: day 1 "), HasSubstr("reserve 30 %"),
                          Not(HasSubstr("http")), Not(HasSubstr("<script"))));
  const Result alone = Run({"sim", file, "--html", "-"});
  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_EQ(alone.out, page);
  const Result both = Run({"sim", file, "--html", "-", "-o", "json"});
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, HasSubstr("--html -: the standard output gets JSON already"));
}

TEST_F(SimTest, AnHtmlFileThatCannotBeWrittenIsOneLine) {
  const Result result =
      Run({"sim", Write("small.yaml", kScenario), "--seeds", "1", "--html", "/nowhere/sim.html"});
  EXPECT_NE(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("--html /nowhere/sim.html: cannot be written"));
  EXPECT_THAT(result.out, HasSubstr("\nours ")) << "the answer is not lost";
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(SimTest, WhatIfChangesTheAnswer) {
  const std::string file = Write("small.yaml", kScenario);
  const std::string whole = Run({"sim", file, "--policy", "ours"}).out;
  EXPECT_THAT(whole, AllOf(HasSubstr("\nours "), Not(HasSubstr("\nfastest "))));
  const std::string more = Run({"sim", file, "--add", "raspberry-pi-5=2"}).out;
  EXPECT_THAT(more, StartsWith("small: 3 boards"));
  // No job may touch a pack that is kept full.
  const Result kept = Run({"-o", "json", "sim", file, "--set", "reserve=0.97"});
  EXPECT_EQ(nlohmann::json::parse(kept.out)["policies"][0]["jobs_done"]["high"], 0);
}

TEST_F(SimTest, SaysWhyJobsFail) {
  std::string text(kScenario);
  text.replace(text.find(", sequence_length: 256"), 22, ", batch_size: 64");
  const Result result = Run({"sim", Write("large.yaml", text)});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("missed or failed, for example:\n  tune: no device of this fleet can run it"),
            HasSubstr("of memory"), HasSubstr("(ours, fastest)")));
}

TEST_F(SimTest, AnInterruptEndsTheRun) {
  interrupt_.Raise();
  const Result result = Run({"sim", Write("small.yaml", kScenario)});
  EXPECT_EQ(result.code, 130);
  EXPECT_THAT(result.err, HasSubstr("interrupted; the scenario was not run to its end"));
}

TEST_F(SimTest, WrongInputIsOneLineAndExitsWith2) {
  const std::string file = Write("small.yaml", kScenario);
  ExpectError({"sim"}, "sim takes a scenario file, or --from-fleet for the coordinator");
  ExpectError({"sim", Path("none.yaml")}, "none.yaml");
  ExpectError({"sim", Path("")}, Path(""));
  ExpectError({"sim", Write("empty.yaml", "")}, "is empty");
  ExpectError({"sim", Write("typo.yaml", "durration: 1h\n")},
              "typo.yaml:1: durration: unknown field; did you mean \"duration\"?");
  // An error found only by the simulated coordinator also names its line.
  std::string text(kScenario);
  text.replace(text.find("examples: 400"), 13, "examples: 400, format: text");
  ExpectError({"sim", Write("text.yaml", text)},
              absl::StrCat("wattle: ", Path("text.yaml"),
                           ":8: job tune: finetune.data: questions holds a text"));
  ExpectError({"sim", file, "--seeds", "0"}, "seeds: \"0\"; wanted 1 to 1000");
  ExpectError({"sim", file, "--seed", "-1"}, "seed: \"-1\"; wanted 0 to 1000000000");
  ExpectError({"sim", file, "--policy", "best"}, "policy: \"best\"; wanted each at most once of");
  ExpectError({"sim", file, "--set", "reserve=nan"}, "reserve: \"nan\"; wanted 0 to 1");
  ExpectError({"sim", file, "--add", "toaster=1"}, "class: \"toaster\"; wanted one of");
}

// Work for a fleet that comes from the coordinator.
constexpr char kWork[] = R"(name: work
duration: 6h
rates: {seconds_spread: 0.2}
data: {questions: {examples: 400}}
jobs:
  - {name: tune, per_day: 12, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 256}}}
policy: [ours, fastest]
seeds: 2
)";

TEST_F(SimTest, TheFleetOfACoordinatorIsSimulatedAndWritten) {
  const std::string work = Write("work.yaml", kWork);
  const Result told = Run({"sim", work, "--from-fleet", "--write", Path("fleet.yaml")});
  EXPECT_EQ(told.code, 0) << told.err;
  EXPECT_THAT(told.err, AllOf(StartsWith("assumed, because the coordinator does not tell: links "
                                         "without cuts; "),
                              HasSubstr("left out: pi-läuft is drained")));
  EXPECT_EQ(std::count(told.err.begin(), told.err.end(), '\n'), 1) << told.err;
  EXPECT_THAT(told.out, StartsWith("work: 2 boards, 6 h 00 min, seeds 1 to 2; median"));
  const Result again = Run({"sim", Path("fleet.yaml")});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.out, told.out);
  EXPECT_EQ(Run({"sim", work, "--from-fleet", "-o", "json"}).out,
            Run({"sim", Path("fleet.yaml"), "-o", "json"}).out);
  EXPECT_THAT(ReadBack("fleet.yaml"), StartsWith(kWork));
}

TEST_F(SimTest, WhatContradictsTheFleetIsRefused) {
  const std::string file = Write("small.yaml", kScenario);
  ExpectError({"sim", file, "--from-fleet"},
              "small.yaml:3: fleet: comes from the coordinator too; remove it here");
  ExpectError({"sim", file, "--write", Path("out.yaml")},
              "--write writes the scenario of --from-fleet; give both");
  ExpectError({"sim", Write("flow.yaml", "{duration: 1d}"), "--from-fleet"},
              "flow.yaml:1: wanted fields (name: value) on lines of their own");
}

}  // namespace
}  // namespace wattle::cli
