// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Each wrong scenario is one line with file, line, value and what is wanted.
#include "sim/scenario/scenario_file.h"

#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <yaml-cpp/yaml.h>

#include "base/testing/status_matchers.h"
#include "sim/random.h"
#include "sim/scenario/csv.h"
#include "sim/scenario/drawn_boards.h"
#include "sim/scenario/run.h"

namespace wattle::sim {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kGood[] = R"(duration: 2d
fleet:
  - {name: mast, class: jetson-orin-nano, count: 2, pack_wh: 60, reserve: 0.3, panel_watts: 40}
sun: {file: sun.csv}
data: {questions: {examples: 1000}}
jobs:
  - {name: tune, every: 12h, job: {finetune: {model: gpt2, data: questions}}}
links:
  - {group: mast, from: 1h, to: 2h}
policy: ours
seeds: 3
)";

std::string Sun(int hours) {
  std::string text = "hour,w_per_m2\n";
  for (int hour = 0; hour < hours; ++hour) {
    absl::StrAppend(&text, hour, ",", hour % 24 >= 6 && hour % 24 < 18 ? 600 : 0, "\n");
  }
  return text;
}

// Hours of a rate, one after the other.
std::string Link(const std::vector<std::pair<int, int>>& rates) {
  std::string text = "hour,mbit\n";
  int hour = 0;
  for (const auto& [hours, mbit] : rates) {
    for (const int end = hour + hours; hour < end; ++hour) {
      absl::StrAppend(&text, hour, ",", mbit, "\n");
    }
  }
  return text;
}

absl::StatusOr<Scenario> Parse(const std::string& text, const Changes& changes = {}) {
  return ParseScenario(
      text, "site.yaml", changes, [](const std::string& name) -> absl::StatusOr<std::string> {
        if (name == "sun.csv") {
          return Sun(48);
        }
        if (name == "denver.csv") {
          return absl::StrCat("Long (deg W):,105.18\nMonth,Plane of Array Irradiance (W/m^2)\n",
                              absl::StrReplaceAll(Sun(48), {{"hour,w_per_m2\n", ""}}));
        }
        if (name == "night.csv") {
          return Link({{22, 1}, {2, 8}});
        }
        if (name == "gaps.csv") {
          return Link({{20, 4}, {4, 0}, {24, 4}});
        }
        if (name == "short.csv") {
          return Link({{30, 1}});
        }
        if (name == "fast.csv") {
          return std::string("hour,mbit\n0,8\n1,200000\n");
        }
        if (name == "trace.csv") {
          return std::string("at_seconds\n10\n5\n");
        }
        return absl::NotFoundError(absl::StrCat(name, ": no such file"));
      });
}

// The sun behind a second group, all boards on one pack.
std::string WithPole(const std::string& fields) {
  return absl::StrCat(
      "  - {name: pole, class: raspberry-pi-5, ", fields,
      "}\nsun: {file: sun.csv}\n"
      "fleet_policies: [{name: one, power_group: {name: north, shared_pack: true}}]\n");
}

struct Wrong {
  const char* name;
  const char* from;
  std::string to;
  const char* place;
  const char* text;
};

class WrongFileTest : public testing::TestWithParam<Wrong> {};

TEST_P(WrongFileTest, IsOneLineWithTheRemedy) {
  const Wrong& wrong = GetParam();
  ASSERT_THAT(std::string(kGood), HasSubstr(wrong.from));
  const auto scenario = Parse(absl::StrReplaceAll(kGood, {{wrong.from, wrong.to}}));
  ASSERT_THAT(scenario,
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(wrong.place), HasSubstr(wrong.text), Not(HasSubstr("\n")))));
}

INSTANTIATE_TEST_SUITE_P(
    Files, WrongFileTest,
    testing::Values(
        Wrong{"UnknownKey", "seeds: 3", "sceds: 3", "site.yaml:11: sceds",
              "did you mean \"seeds\"?"},
        Wrong{"UnknownKeyOfAGroup", "reserve: 0.3", "reserves: 0.3", "site.yaml:3: reserves",
              "did you mean \"reserve\"?"},
        Wrong{"ClassWithoutFigures", "class: jetson-orin-nano", "class: abacus, idle_watts: 3",
              "site.yaml:3: fleet.class: \"abacus\"",
              "or another with idle_watts and memory_bytes"},
        Wrong{"CountBesideBoards", "count: 2", "count: 2, boards: [a, b]",
              "site.yaml:3: fleet.count", "no count beside boards"},
        Wrong{"BoardTwice", "count: 2", "boards: [a, a]", "site.yaml:3: fleet.boards",
              "names that differ"},
        Wrong{"BoardOfTwoGroups", "fleet:\n",
              "fleet:\n  - {class: raspberry-pi-5, boards: [mast-2]}\n",
              "site.yaml:3: fleet: \"mast-2\"", "names two boards"},
        Wrong{"PolicyOfNothing", "seeds: 3", "fleet_policies:\n- {name: a}",
              "site.yaml:12: fleet_policies: ", "limits nothing"},
        Wrong{"PolicyWithPlace", "seeds: 3",
              "fleet_policies: [{name: a, place: {latitude_degrees: 45}}]",
              "site.yaml:11: fleet_policies.place", "wanted a policy without place"},
        Wrong{"FleetPolicyTwice", "seeds: 3",
              "fleet_policies: [{name: mast, max_temperature_celsius: 80}]",
              "site.yaml:11: fleet_policies.name: \"mast\"", "names two policies"},
        Wrong{"RowOfNothing", "seeds: 3", "profiles: [{device_class: a}]",
              "site.yaml:11: profiles: ", "rows[0]"},
        Wrong{"KeyTwice", "count: 2", "count: 2, count: 3", "site.yaml:3:", "stands twice"},
        Wrong{"NoYaml", "duration: 2d", "duration: [", "site.yaml:", "not valid YAML"},
        Wrong{"NoDuration", "duration: 2d\n", "", "site.yaml:", "duration: missing"},
        Wrong{"DurationWithoutUnit", "duration: 2d", "duration: 48",
              "site.yaml:1: duration: \"48\"", "wanted 1h to 366d"},
        Wrong{"NegativeDuration", "duration: 2d", "duration: -2d", "site.yaml:1: duration",
              "wanted 1h to 366d"},
        Wrong{"PackOfNothing", "pack_wh: 60", "pack_wh: 0", "site.yaml:3: pack_wh: \"0\"",
              "wanted 1 to 1000000 Wh"},
        Wrong{"PackIsNoNumber", "pack_wh: 60", "pack_wh: .nan", "site.yaml:3: pack_wh",
              "wanted 1 to 1000000 Wh"},
        Wrong{"ReserveAboveCapacity", "reserve: 0.3", "reserve: 1.3",
              "site.yaml:3: reserve: \"1.3\"", "wanted 0 to 1, a share"},
        Wrong{"ReserveIsNan", "reserve: 0.3", "reserve: nan", "reserve: \"nan\"", "wanted 0 to 1"},
        Wrong{"ReserveOnMains", "pack_wh: 60, ", "", "site.yaml:3:", "pack_wh beside it"},
        Wrong{"PolicyThatIsNone", "reserve: 0.3,", "policy: {work_windows: ['07:00-07:00']},",
              "site.yaml:3: fleet group mast: policy.work_windows: \"07:00-07:00\"",
              "want two different times of day"},
        Wrong{"TwoPowerGroups", "seeds: 3",
              "fleet_policies: [{name: a, power_group: {name: north, shared_pack: true}}, "
              "{name: b, power_group: {name: south, power_cap_watts: 9}}]",
              "site.yaml:3: fleet: group mast would be in two power groups, north (policy a) and "
              "south (policy b)",
              "change a selector"},
        Wrong{"ReserveOfTheWholePack", "reserve: 0.3", "reserve: 1.0",
              "site.yaml:3: fleet group mast: a reserve of 1 (policy mast) with a gauge that may "
              "be 0.02 wrong leaves no charge for work",
              "wanted less than 1 together"},
        Wrong{"WindowsThatNeverOpen", "seeds: 3",
              "fleet_policies: [{name: a, work_windows: ['01:00-02:00']}, "
              "{name: b, work_windows: ['00:00-12:00']}, {name: c, work_windows: ['05:00-06:00']}]",
              "site.yaml:3: fleet group mast: no job ever runs on it: the windows of the policies "
              "a (01:00-02:00 UTC) and c (05:00-06:00 UTC) have no time in common",
              "change one of them"},
        Wrong{"CapBelowIdle", "seeds: 3",
              "fleet_policies: [{name: a, power_group: {name: north, power_cap_watts: 7}}]",
              "site.yaml:3: power_group.power_cap_watts: \"7\" (policy a); wanted more than the "
              "7 W that the boards of power group north draw without work (mast 2 x 3.5 W)",
              ""},
        Wrong{"PackOfTwoCapacities", "sun: {file: sun.csv}\n", WithPole("pack_wh: 90"),
              "site.yaml:4: fleet.pack_wh: \"90\"; wanted 60, which group mast tells of pack north",
              "which they share"},
        Wrong{"PackOfTwoCharges", "sun: {file: sun.csv}\n", WithPole("pack_wh: 60, charge: 0.5"),
              "site.yaml:4: fleet.charge: \"0.5\"; wanted 1, which group mast tells", ""},
        Wrong{"PackOfTwoPanels", "sun: {file: sun.csv}\n", WithPole("pack_wh: 60, panel_watts: 30"),
              "site.yaml:4: fleet.panel_watts: \"30\"; wanted 40, which group mast tells", ""},
        Wrong{"PackThatOneBoardLacks", "sun: {file: sun.csv}\n", WithPole("cores: 4"),
              "site.yaml:4: fleet.pack_wh: missing", "wanted the whole pack's"},
        Wrong{"PlaceWithoutDate", "reserve: 0.3,", "policy: {place: {latitude_degrees: 45}},",
              "site.yaml:3: fleet.policy.place: a scenario's days", "wanted a policy without"},
        Wrong{"ThrottlesAtRest", "reserve: 0.3,",
              "heat: {kelvin_per_watt: 10, air_celsius: 40, throttle_celsius: 60},",
              "site.yaml:3: fleet.heat.throttle_celsius: \"60\"",
              "wanted more than the 75 °C of an idle board on a warm day"},
        Wrong{"HeatWithoutMeaning", "reserve: 0.3,", "heat: {kelvin: 10},",
              "site.yaml:3: kelvin: unknown field", "kelvin_per_watt"},
        Wrong{"NoBoards", "count: 2", "count: 0", "site.yaml:3: count: \"0\"", "wanted 1 to 1000"},
        Wrong{"HalfABoard", "count: 2", "count: 1.5", "count: \"1.5\"", "wanted 1 to 1000"},
        Wrong{"UnknownClass", "jetson-orin-nano", "jetson-thor",
              "site.yaml:3: fleet.class: \"jetson-thor\"",
              "wanted one of jetson-orin-nano, jetson-xavier-nx, raspberry-pi-5"},
        Wrong{"UnknownPolicy", "policy: ours", "policy: [ours, best]",
              "site.yaml:10: policy: \"best\"",
              "ours, fastest, fewest_joules, round_robin, edf, heft, lsa, greedy, "
              "without_improver, without_moves, without_heat"},
        Wrong{"PolicyTwice", "policy: ours", "policy: ours,ours", "policy: \"ours\"",
              "each at most once"},
        Wrong{"NoSeeds", "seeds: 3", "seeds: 0", "site.yaml:11: seeds: \"0\"", "wanted 1 to 1000"},
        Wrong{"NoSuchSun", "sun.csv", "moon.csv", "moon.csv", "no such file"},
        Wrong{"SunTooShort", "duration: 2d", "duration: 3d", "site.yaml:4: sun.file",
              "wanted 72 hours from day 1 on, for duration; it has 48"},
        Wrong{"NoSun", "sun: {file: sun.csv}\n", "", "site.yaml:3: sun: missing",
              "mast has a panel"},
        Wrong{"UnknownModel", "model: gpt2", "model: gpt5", "site.yaml:7:",
              "finetune.model: gpt5 is not in the scenario; wanted one of gpt2, distilgpt2"},
        Wrong{"UnknownJobField", "data: questions}", "dada: questions}", "site.yaml:7: dada",
              "did you mean \"data\"?"},
        Wrong{"NoKind", "finetune: {model: gpt2, data: questions}", "priority: 1",
              "site.yaml:7:", "kind"},
        Wrong{"TraceOutOfOrder", "every: 12h", "trace: trace.csv", "trace.csv:3: at_seconds: \"5\"",
              "wanted at least 10, for a trace is in order"},
        Wrong{"TwoSortsOfTimes", "every: 12h", "every: 12h, per_day: 3", "site.yaml:7: job",
              "exclude each other"},
        Wrong{"MoreJobsThanAnybodyHas", "every: 12h", "per_day: 100000",
              "site.yaml:7: jobs.per_day: \"100000\"", "at most 100000 arrivals in all"},
        Wrong{"CutOfNobody", "group: mast, from", "group: pole, from",
              "site.yaml:9: links.group: \"pole\"", "the name of a board group"},
        Wrong{"CutBackwards", "to: 2h", "to: 30m", "site.yaml:9: links.to: \"30m\"",
              "a time after `from`"},
        Wrong{"PowerCutOfNobody", "policy: ours", "power_cuts: [{group: pole}]\npolicy: ours",
              "site.yaml:10: power_cuts.group: \"pole\"", "the name of a board group"},
        Wrong{"PowerCutBackwards", "policy: ours",
              "power_cuts: [{group: mast, from: 3h, to: 2h}]\npolicy: ours",
              "site.yaml:10: power_cuts.to: \"2h\"", "a time after `from`"},
        Wrong{"TooManyPowerCuts", "policy: ours",
              "power_cuts: [{group: mast, per_day: 1000}]\npolicy: ours",
              "site.yaml:10: per_day: \"1000\"", "0 to 200 cuts a day"},
        Wrong{"PowerCutOfNoLength", "policy: ours",
              "power_cuts: [{group: mast, per_day: 2, for: 0s}]\npolicy: ours",
              "site.yaml:10: for: \"0s\"", "how long a cut takes"},
        Wrong{"LengthOfACutThatIsNotDrawn", "policy: ours",
              "power_cuts: [{group: mast, for: 2h}]\npolicy: ours",
              "site.yaml:10: power_cuts.for: \"2h\"", "wanted a per_day beside it"},
        Wrong{"FaultOfNoKind", "policy: ours", "faults: [{group: mast, kind: moth}]\npolicy: ours",
              "site.yaml:10: kind: \"moth\" is unknown",
              "disk_full, disk_read_only, disk_error, runner_crash"},
        Wrong{"FaultOfNobody", "policy: ours",
              "faults: [{group: pole, kind: disk_full}]\npolicy: ours",
              "site.yaml:10: faults.group: \"pole\"", "the name of a board group"},
        Wrong{"NoRate", "count: 2", "count: 2, link_mbit: 0", "site.yaml:3: fleet.link_mbit: \"0\"",
              "wanted 0.01 to 100000 Mbit/s, or a CSV hour,mbit"},
        Wrong{"RatesInAList", "count: 2", "count: 2, link_mbit: [1, 2]", "site.yaml:3: link_mbit",
              "wants a single value, found a list"},
        Wrong{"NoSuchLink", "count: 2", "count: 2, link_mbit: none.csv", "none.csv",
              "no such file"},
        Wrong{"LinkTooShort", "count: 2", "count: 2, link_mbit: short.csv",
              "site.yaml:3: fleet.link_mbit: \"short.csv\"",
              "wanted a file of whole days, which repeat, or of 48 hours, for duration; it has 30"},
        Wrong{"LinkTooFast", "count: 2", "count: 2, link_mbit: fast.csv",
              "fast.csv:3: mbit: \"200000\"", "wanted Mbit/s, 0 to 100000"},
        Wrong{"ForecastOfNoError", "{file: sun.csv}", "{file: sun.csv, forecast_error: 4}",
              "site.yaml:4: forecast_error: \"4\"",
              "wanted 0 to 3, or no field where nobody forecasts"},
        Wrong{"NoExamples", "examples: 1000", "mean_bytes: 10", "site.yaml:5: examples: missing",
              "wanted a number of examples"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ScenarioFileTest, AGoodFileIsRead) {
  const auto scenario = Parse(kGood);
  ASSERT_THAT(scenario, IsOk());
  EXPECT_EQ(scenario->boards(), 2);
  EXPECT_EQ(scenario->jobs[0].arrivals.size(), 4);
  EXPECT_THAT(CheckScenario(*scenario), IsOk());
}

TEST(ScenarioFileTest, AnEmptyFileAndOneThatIsNoMapAreRefused) {
  for (const char* text : {"", "- a\n", "hello\n", "duration: 2d\n---\nduration: 1d\n"}) {
    EXPECT_THAT(Parse(text), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("site.yaml")))
        << text;
  }
  EXPECT_THAT(Parse("duration: 2d\n"), StatusIs(absl::StatusCode::kInvalidArgument,
                                                HasSubstr("0 boards; wanted 1 to 1000")));
}

TEST(ScenarioFileTest, WrongChangesNameTheFlag) {
  const std::vector<std::pair<Changes, std::string>> cases = {
      {{.set = {"reserve"}, .add = {}}, "--set reserve: wanted FIELD=VALUE"},
      {{.set = {"reserve=1.4"}, .add = {}},
       "site.yaml with the changes of the command line: reserve: \"1.4\"; wanted 0 to 1"},
      {{.set = {"pole.reserve=0.4"}, .add = {}}, "no board group is named pole"},
      {{.set = {"sceds=3"}, .add = {}},
       "with the changes of the command line: sceds: unknown field"},
      {{.set = {"sun.forecast_error=4"}, .add = {}},
       "with the changes of the command line: forecast_error: \"4\"; wanted 0 to 3"},
      {{.set = {"moon.spread=0.2"}, .add = {}}, "no board group is named moon"},
      {{.set = {"nothing=3"}, .add = {}},
       "nothing: unknown field; fields here: name, duration, fleet,"},
      {{.set = {"mast.colour=3"}, .add = {}}, "colour: unknown field"},
      {{.set = {}, .add = {"jetson-thor=2"}}, "fleet.class: \"jetson-thor\"; wanted one of"},
      {{.set = {}, .add = {"raspberry-pi-5=many"}}, "count: \"many\"; wanted 1 to 1000"},
      {{.set = {}, .add = {"raspberry-pi-5=999"}}, "1001 boards; wanted 1 to 1000"},
  };
  for (const auto& [changes, text] : cases) {
    EXPECT_THAT(Parse(kGood, changes),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  }
  EXPECT_THAT(Parse("duration: 2d\nfleet: mast\n", {.set = {}, .add = {"raspberry-pi-5=1"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("site.yaml:")));
}

TEST(ScenarioFileTest, AChangeReachesAFieldOfASectionUnlessAGroupHasItsName) {
  const auto changed = Parse(kGood, {.set = {"sun.forecast_error=0.4"}, .add = {}});
  ASSERT_THAT(changed, IsOk());
  EXPECT_EQ(changed->forecast_error, 0.4);
  EXPECT_EQ(Parse(kGood)->forecast_error, std::nullopt);
  const auto of_group =
      Parse(absl::StrReplaceAll(kGood, {{"mast", "sun"}}), {.set = {"sun.link_mbit=3"}, .add = {}});
  ASSERT_THAT(of_group, IsOk());
  EXPECT_EQ(of_group->fleet[0].link_bytes_per_second, 375'000.0);
}

TEST(ScenarioFileTest, TheHoursOfPvWattsAreMovedToUtcAndTheAnswerSaysSo) {
  const auto moved = Parse(kGood, {.set = {"sun.file=denver.csv"}, .add = {}});
  ASSERT_THAT(moved, IsOk());
  EXPECT_EQ(moved->sun[12], 0.0) << "05:00 in Denver";
  EXPECT_EQ(moved->sun[13], Parse(kGood)->sun[6]) << "sunrise";
  EXPECT_EQ(moved->sun_clock,
            "The hours of denver.csv are taken as those of UTC-7, by its longitude; "
            "sun.utc_offset_hours sets another clock");
  const auto said =
      Parse(kGood, {.set = {"sun.file=denver.csv", "sun.utc_offset_hours=0"}, .add = {}});
  ASSERT_THAT(said, IsOk());
  EXPECT_EQ(said->sun, Parse(kGood)->sun);
  EXPECT_EQ(said->sun_clock, "");
}

TEST(ScenarioFileTest, BoardsOfASiteHaveTheSameWeather) {
  const auto scenario = Parse(absl::StrReplaceAll(
      kGood, {{"sun: {file: sun.csv}\n",
               "  - {name: north-pole, class: raspberry-pi-5, pack_wh: 60, panel_watts: 80}\n"
               "sun: {file: sun.csv, spread: 0.5}\n"}}));
  ASSERT_THAT(scenario, IsOk());
  const std::vector<double> mast = *BoardOf(*scenario, scenario->fleet[0], 7).sun_watts;
  const std::vector<double> pole = *BoardOf(*scenario, scenario->fleet[1], 7).sun_watts;
  ASSERT_EQ(mast.size(), pole.size());
  for (size_t hour = 0; hour < mast.size(); ++hour) {
    EXPECT_DOUBLE_EQ(pole[hour], 2 * mast[hour]) << hour;
  }
  EXPECT_NE(mast[12], mast[36]) << "two days have two weathers";
}

TEST(ScenarioFileTest, ALinkByTheHourIsReadAndItsHoursWithoutARateAreCuts) {
  const auto night = Parse(kGood, {.set = {"link_mbit=night.csv"}, .add = {}});
  ASSERT_THAT(night, IsOk());
  const BoardGroup& mast = night->fleet[0];
  ASSERT_EQ(mast.link_by_hour.size(), 24);
  EXPECT_EQ(mast.link_by_hour[21], 125'000.0);
  EXPECT_EQ(mast.link_by_hour[22], 1'000'000.0);
  EXPECT_EQ(night->cuts.size(), 1) << "the entry of links";
  EXPECT_EQ(InfoOf(mast, 1).link_bytes_per_second(), 0.0) << "its worker measures it";
  EXPECT_EQ(InfoOf(Parse(kGood)->fleet[0], 1).link_bytes_per_second(), 1.25e6);

  const auto gaps = Parse(kGood, {.set = {"link_mbit=gaps.csv"}, .add = {}});
  ASSERT_THAT(gaps, IsOk());
  ASSERT_EQ(gaps->cuts.size(), 2);
  EXPECT_EQ(gaps->cuts[0].group, "mast");
  EXPECT_EQ(gaps->cuts[0].begin_seconds, 20 * kSecondsOfHour);
  EXPECT_EQ(gaps->cuts[0].end_seconds, 24 * kSecondsOfHour);
}

// Reading any file ends with a scenario or an error.
TEST(ScenarioFileTest, DamagedFilesNeverCrash) {
  Random random(7);
  const std::string good(kGood);
  for (int i = 0; i < 4000; ++i) {
    std::string text = good;
    for (int edits = 1 + random.Below(4); edits > 0 && !text.empty(); --edits) {
      const auto at = static_cast<size_t>(random.Below(static_cast<int>(text.size())));
      const auto from = static_cast<size_t>(random.Below(static_cast<int>(good.size())));
      const auto length = static_cast<size_t>(random.Below(12));
      switch (random.Below(3)) {
        case 0:
          text[at] = static_cast<char>(random.Below(256));
          break;
        case 1:
          text.erase(at, length);
          break;
        default:
          text.insert(at, good, from, length);
      }
    }
    const auto scenario = Parse(text);
    if (scenario.ok()) {
      CheckScenario(*scenario).IgnoreError();
    } else {
      EXPECT_EQ(scenario.status().code(), absl::StatusCode::kInvalidArgument)
          << scenario.status() << "\n"
          << text;
    }
  }
}

TEST(SunTest, ThreeFormsAreRead) {
  const auto hours = ParseSun(Sun(24), "sun.csv");
  ASSERT_THAT(hours, IsOk());
  EXPECT_EQ(hours->hours.size(), 24);
  EXPECT_EQ(hours->hours[12], 0.6);
  const auto pvgis = ParseSun(
      "Latitude (decimal degrees): 45.000\r\n\r\ntime(UTC),T2m,G(h)\r\n20180101:0000,2.0,-0.0\r\n"
      "20180101:0100,2.0,250.0\r\n\r\nG(h): Global irradiance\r\n",
      "pvgis.csv");
  ASSERT_THAT(pvgis, IsOk());
  EXPECT_EQ(pvgis->hours, (std::vector<double>{0.0, 0.25}));
  const auto pvwatts = ParseSun(
      "PVWatts: Hourly PV Performance Data,,\n,,\n"
      "Month,Day,Plane of Array Irradiance (W/m^2)\n1,1,0\n1,1,500\nTotals,,500\n",
      "pvwatts.csv");
  ASSERT_THAT(pvwatts, IsOk());
  EXPECT_EQ(pvwatts->hours, (std::vector<double>{0.0, 0.5}));
  EXPECT_TRUE(pvwatts->is_local_time);
  EXPECT_EQ(pvwatts->utc_offset_hours, std::nullopt);
}

TEST(SunTest, TheColumnsOnThePanelComeFirst) {
  const auto whole =
      ParseSun("Slope: 35 deg.\n\ntime,G(h),G(i),T2m\n20200601:0010,1,0,5\n20200601:0110,2,400,5\n",
               "hourly.csv");
  ASSERT_THAT(whole, IsOk());
  EXPECT_EQ(whole->hours, (std::vector<double>{0.0, 0.4}));
  const auto parts =
      ParseSun("time,Gb(i),Gd(i),Gr(i),T2m\n20200601:0010,0,0,0,5\n20200601:0110,250,100,50,5\n",
               "parts.csv");
  ASSERT_THAT(parts, IsOk());
  EXPECT_EQ(parts->hours, (std::vector<double>{0.0, 0.4}));
  EXPECT_FALSE(parts->is_local_time);
}

TEST(SunTest, PvWattsOfVersionEightHasQuotesAndDegreesEast) {
  const std::string text =
      "\xEF\xBB\xBF\"PVWatts: Hourly PV Performance Data\"\n\"Longitude (deg E)\",\"-105.18\"\n"
      "\"Month\",\"Day\",\"Plane of Array Irradiance "
      "(W/m2)\"\n\"1\",\"1\",\"0\"\n\"1\",\"1\",\"500\"\n";
  const auto east = ParseSun(text, "v8.csv");
  ASSERT_THAT(east, IsOk());
  EXPECT_EQ(east->hours, (std::vector<double>{0.0, 0.5}));
  EXPECT_EQ(east->utc_offset_hours, -7.0);
  const auto west = ParseSun(
      absl::StrReplaceAll(text, {{"Longitude (deg E)\",\"-", "Long (deg W):\",\""}}), "v5.csv");
  ASSERT_THAT(west, IsOk());
  EXPECT_EQ(west->utc_offset_hours, -7.0);
}

TEST(SunTest, LocalHoursBecomeThoseOfUtc) {
  std::vector<double> local(24, 0.0);
  local[12] = 0.8;
  EXPECT_EQ(InHoursOfUtc(local, -7.0)[19], 0.8) << "noon in Denver";
  EXPECT_EQ(InHoursOfUtc(local, 14.0)[22], 0.8) << "noon in Kiribati, of the day before";
  const std::vector<double> kolkata = InHoursOfUtc(local, 5.5);
  EXPECT_EQ(kolkata[6], 0.4);
  EXPECT_EQ(kolkata[7], 0.4);
}

TEST(SunTest, TheSunOfTheFarNorthNeedNotSet) {
  std::string text = "time(UTC),G(h)\n";
  for (int hour = 0; hour < 24; ++hour) {
    absl::StrAppendFormat(&text, "20200621:%02d00,%d\n", hour, 200 + 10 * hour);
  }
  EXPECT_THAT(ParseSun(text, "tromso.csv"), IsOk());
}

TEST(SunTest, WhatNoSunGivesIsRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "wanted a line hour,w_per_m2"},
      {"hour,watts\n0,1\n", "sun.csv:1: columns: \"watts\"; wanted hour,w_per_m2"},
      {"hour,w_per_m2\n", "wanted a line for each hour"},
      {"hour,w_per_m2\n0,0\n2,5\n", "sun.csv:3: hour: \"2\"; wanted 1, the hour after"},
      {"hour,w_per_m2\n0,nan\n", "sun.csv:2: w_per_m2: \"nan\"; wanted a number"},
      {"hour,w_per_m2\n0,\n", "sun.csv:2: w_per_m2: \"\""},
      {"hour,w_per_m2\n0,-5\n", "sun.csv:2: w_per_m2: \"-5\"; wanted W/m2 on the panel, 0 to 1500"},
      {"hour,w_per_m2\n0,600000\n", "0 to 1500"},
      {"hour,w_per_m2\n0,0\n1,0.6\n", "look like kW/m2, so multiply them by 1000"},
      {absl::StrReplaceAll(Sun(24), {{",0\n", ",300\n"}}),
       "sun.csv:2: w_per_m2: \"300\"; wanted a night in each day"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_THAT(ParseSun(text, "sun.csv"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(error)))
        << text;
  }
}

TEST(LinkTest, WhatNoLinkIsIsRefused) {
  const auto hours = ParseLink("hour,mbit\r\n0, 0.5\r\n1,0\r\n", "link.csv");
  ASSERT_THAT(hours, IsOk());
  EXPECT_EQ(*hours, (std::vector<double>{0.5, 0.0}));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "link.csv:1: columns: \"\"; wanted hour,mbit"},
      {"hour,mb\n0,1\n", "link.csv:1: columns: \"hour,mb\"; wanted hour,mbit"},
      {"hour,mbit\n", "link.csv:2: mbit: \"\"; wanted a line for each hour"},
      {"hour,mbit\n1,5\n", "link.csv:2: hour: \"1\"; wanted 0, the hour after"},
      {"hour,mbit\nx,5\n", "link.csv:2: hour: \"x\"; wanted 0"},
      {"hour,mbit\n0\n", "link.csv:2: mbit: \"\"; wanted Mbit/s, 0 to 100000"},
      {"hour,mbit\n0,-1\n", "link.csv:2: mbit: \"-1\"; wanted Mbit/s, 0 to 100000"},
      {"hour,mbit\n0,inf\n", "link.csv:2: mbit: \"inf\"; wanted Mbit/s"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_THAT(ParseLink(text, "link.csv"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(error)))
        << text;
  }
}

TEST(ArrivalsTest, ATraceIsReadInOrder) {
  const auto arrivals = ParseArrivals("at_seconds,deadline_seconds\n0,10\n5,0\n5,20\n", "t.csv");
  ASSERT_THAT(arrivals, IsOk());
  EXPECT_EQ(arrivals->size(), 3);
  EXPECT_EQ((*arrivals)[2].deadline_seconds, 20);
  for (const char* text :
       {"", "seconds\n1\n", "at_seconds\n", "at_seconds\n-1\n", "at_seconds\ninf\n",
        "at_seconds,deadline_seconds\n1,-1\n", "at_seconds,deadline_seconds\n1\n"}) {
    EXPECT_THAT(ParseArrivals(text, "t.csv"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("t.csv:")))
        << text;
  }
}

// A scenario's boards are those that a worker can emulate.
TEST(BoardClassTest, AgreesWithTheEmulatedBoards) {
  for (const BoardClass& one : BoardClasses()) {
    const YAML::Node file =
        YAML::LoadFile(absl::StrCat(WATTLE_SOURCE_DIR, "/deploy/emulated/", one.name, ".yaml"));
    EXPECT_EQ(file["idle_power_watts"].as<double>(), one.idle.value()) << one.name;
    EXPECT_EQ(file["memory_bytes"].as<int64_t>(), one.memory_bytes) << one.name;
    EXPECT_EQ(file["cores"].as<int>(), one.cores) << one.name;
    EXPECT_EQ(file["accelerator"].as<std::string>(), one.accelerator) << one.name;
    EXPECT_EQ(file["throughput_flops_datasheet"].as<double>(), one.flops_per_second) << one.name;
  }
}

}  // namespace
}  // namespace wattle::sim
