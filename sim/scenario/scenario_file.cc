// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/scenario_file.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <yaml-cpp/yaml.h>

#include "formats/yaml_node.h"
#include "scheduler/predict/imported_rows.h"
#include "scheduler/profiles/exported_rows.h"
#include "scheduler/profiles/profile_table.h"
#include "sim/scenario/csv.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/scenario_parts_internal.h"
#include "sim/scenario/true_rates.h"
#include "sim/scenario/yaml_fields_internal.h"

namespace wattle::sim {
namespace {

constexpr double kDurationMax = 366.0 * kSecondsOfDay;
constexpr int kSeedsMax = 1000;
constexpr double kFaultsADayMax = 200.0;
constexpr double kCutSeconds = 60.0;
// Of a panel's watts at 1000 W/m2, what reaches the pack: heat, dirt, wiring and the charger.
constexpr double kPanelPerformance = 0.8;

// Measured rows of the boards' classes.
void ReadProfiles(Fields& top, Scenario& scenario) {
  const std::vector<YAML::Node> nodes = top.List("profiles");
  for (const YAML::Node& node : nodes) {
    Check(formats::ReadMessage(node, top.file(), *scenario.profiles.add_rows()));
  }
  if (nodes.empty()) {
    return;
  }
  scenario.profiles.set_format(std::string(scheduler::kExportFormat));
  scenario.profiles.set_version(scheduler::kExportVersion);
  const auto rows =
      scheduler::ImportedRows(scheduler::ProfileTable::Priors(), scenario.profiles, kProfilesName);
  if (!rows.ok()) {
    throw Problem{absl::StrCat(Place(top.Node("profiles"), top.file()),
                               "profiles: ", rows.status().message())};
  }
}

void ReadSun(Fields& top, const ReadFile& read, Scenario& scenario) {
  if (!top.Has("sun")) {
    for (const BoardGroup& group : scenario.fleet) {
      if (group.panel > Watts(0)) {
        throw Problem{absl::StrCat(Place(top.Node("fleet"), top.file()),
                                   "sun: missing; fleet group ", group.name,
                                   " has a panel; wanted sun: with a file")};
      }
    }
    return;
  }
  Fields fields(top.Node("sun"), top.file(), "sun");
  const std::string file = fields.Text("file");
  std::vector<double> hours = Unwrap(ParseSun(Unwrap(read(file)), file));
  const auto days = static_cast<int>(hours.size() / kHoursOfDay);
  const int from_day = fields.Whole("from_day", 1, std::max(days, 1), 1,
                                    absl::StrCat("a day of ", file, ", 1 to ", days));
  hours.erase(hours.begin(), hours.begin() + static_cast<ptrdiff_t>(kHoursOfDay) * (from_day - 1));
  const auto wanted = static_cast<size_t>(std::ceil(scenario.duration_seconds / kSecondsOfHour));
  if (hours.size() < wanted) {
    fields.Fail("file", absl::StrCat(wanted, " hours from day ", from_day,
                                     " on, for duration; it has ", hours.size()));
  }
  hours.resize(wanted);
  const double performance =
      fields.Number("performance", 0.01, 1.0, kPanelPerformance, "0.01 to 1 of the panel's watts");
  for (double& hour : hours) {
    hour *= performance;
  }
  scenario.sun = std::move(hours);
  scenario.sun_spread = fields.Number("spread", 0.0, 1.0, 0.0, "0 to 1");
  if (fields.Has("forecast_error")) {
    scenario.forecast_error = fields.Number("forecast_error", 0.0, 3.0, 0.0,
                                            "0 to 3, or no field where nobody forecasts");
  }
  fields.RefuseTheRest();
}

// Whom a cut of links or of power meets, and when; without `to` until the scenario's end.
template <typename Cut>
Cut ReadTimes(Fields& fields, const Scenario& scenario) {
  Cut cut;
  cut.group = fields.Text("group");
  const bool known = std::any_of(scenario.fleet.begin(), scenario.fleet.end(),
                                 [&](const auto& group) { return group.name == cut.group; });
  if (!known) {
    fields.Fail("group", "the name of a board group");
  }
  const double duration = scenario.duration_seconds;
  cut.begin_seconds = fields.Span("from", 0.0, duration, 0.0, "a time within duration");
  cut.end_seconds = fields.Span("to", cut.begin_seconds, duration, duration,
                                "a time after `from`, within duration");
  return cut;
}

LinkCut ReadCut(const YAML::Node& node, const Scenario& scenario, const std::string& file) {
  Fields fields(node, file, "links");
  LinkCut cut = ReadTimes<LinkCut>(fields, scenario);
  fields.Node("to");
  fields.RefuseTheRest();
  return cut;
}

FaultTimes ReadFaultTimes(Fields& fields, const Scenario& scenario, absl::string_view of_what) {
  FaultTimes times = ReadTimes<FaultTimes>(fields, scenario);
  times.per_day = fields.Number("per_day", 0.0, kFaultsADayMax, 0.0,
                                absl::StrCat("0 to 200 ", of_what, "s a day"));
  if (times.per_day > 0.0) {
    times.length_seconds =
        fields.Span("for", 1.0, scenario.duration_seconds, kCutSeconds,
                    absl::StrCat("how long a ", of_what, " takes, from 1s on, such as 10m"));
  }
  return times;
}

FaultTimes ReadPowerCut(const YAML::Node& node, const Scenario& scenario, const std::string& file) {
  Fields fields(node, file, "power_cuts");
  FaultTimes cut = ReadFaultTimes(fields, scenario, "cut");
  fields.RefuseTheRest();
  return cut;
}

ScenarioFault ReadFault(const YAML::Node& node, const Scenario& scenario, const std::string& file) {
  static constexpr std::pair<absl::string_view, FaultKind> kKinds[] = {
      {"disk_full", FaultKind::kDiskFull},
      {"disk_read_only", FaultKind::kDiskReadOnly},
      {"disk_error", FaultKind::kDiskError},
      {"runner_crash", FaultKind::kRunnerCrash},
  };
  Fields fields(node, file, "faults");
  const std::string name = fields.Text("kind");
  const auto* const row = std::find_if(std::begin(kKinds), std::end(kKinds),
                                       [&name](const auto& kind) { return kind.first == name; });
  if (row == std::end(kKinds)) {
    fields.Fail("kind", "disk_full, disk_read_only, disk_error or runner_crash");
  }
  ScenarioFault fault{.kind = row->second, .times = ReadFaultTimes(fields, scenario, "fault")};
  fields.RefuseTheRest();
  return fault;
}

void ReadRates(Fields& top, Scenario& scenario) {
  if (!top.Has("rates")) {
    return;
  }
  Fields fields(top.Node("rates"), top.file(), "rates");
  const std::string wanted = "0 to 1, the deviation of the logarithm";
  scenario.seconds_spread = fields.Number("seconds_spread", 0.0, 1.0, 0.0, wanted);
  scenario.watts_spread = fields.Number("watts_spread", 0.0, 1.0, 0.0, wanted);
  scenario.runs_spread = fields.Number("runs_spread", 0.0, 1.0, 0.0, wanted);
  const absl::string_view factor = "0.2 to 5";
  scenario.step = fields.Number("step", 0.2, 5.0, 1.0, factor);
  scenario.drift = fields.Number("drift", 0.2, 5.0, 1.0, factor);
  scenario.throttle = fields.Number("throttle", 1.0, 5.0, 1.0, "1 to 5");
  scenario.software = fields.Number("software", 0.2, 5.0, 1.0, factor);
  fields.RefuseTheRest();
}

void ReadPolicies(Fields& top, Scenario& scenario) {
  scenario.policies = top.Texts("policy");
  if (scenario.policies.empty()) {
    scenario.policies = {"ours"};
  }
  const std::vector<std::string> known = PolicyNames();
  std::set<std::string> seen;
  for (const std::string& policy : scenario.policies) {
    if (std::find(known.begin(), known.end(), policy) == known.end() ||
        !seen.insert(policy).second) {
      throw Problem{absl::StrCat(Place(top.Node("policy"), top.file()), "policy: \"", policy,
                                 "\"; wanted each at most once of ", absl::StrJoin(known, ", "))};
    }
  }
}

Scenario ReadScenario(const YAML::Node& root, const std::string& file, const ReadFile& read) {
  Fields top(root, file, "");
  Scenario scenario;
  scenario.name = top.Text("name", file);
  top.Node("duration");
  scenario.duration_seconds = top.Span("duration", kSecondsOfHour, kDurationMax, 0.0,
                                       "1h to 366d, such as 12h, 3d or 1d 12h");
  ReadFleet(top, read, scenario);
  ReadFleetPolicies(top, scenario);
  CheckPowerGroups(top, scenario);
  CheckSharedPacks(top, scenario);
  CheckPoliciesLetWork(top, scenario);
  ReadProfiles(top, scenario);
  ReadArtifacts(top, scenario);
  ReadSun(top, read, scenario);
  std::set<std::string> names;
  for (const YAML::Node& node : top.List("jobs")) {
    scenario.jobs.push_back(ReadJobs(node, file, read, scenario));
    if (!names.insert(scenario.jobs.back().spec.name()).second) {
      throw Problem{absl::StrCat(Place(node, file), "jobs.name: \"",
                                 scenario.jobs.back().spec.name(),
                                 "\" names two entries; wanted another")};
    }
  }
  for (const YAML::Node& node : top.List("links")) {
    scenario.cuts.push_back(ReadCut(node, scenario, file));
  }
  for (const YAML::Node& node : top.List("power_cuts")) {
    scenario.power_cuts.push_back(ReadPowerCut(node, scenario, file));
  }
  for (const YAML::Node& node : top.List("faults")) {
    scenario.faults.push_back(ReadFault(node, scenario, file));
  }
  ReadRates(top, scenario);
  ReadPolicies(top, scenario);
  scenario.seeds = top.Whole("seeds", 1, kSeedsMax, 10, absl::StrCat("1 to ", kSeedsMax));
  scenario.first_seed =
      static_cast<uint64_t>(top.Whole("seed", 0, 1'000'000'000, 1, "0 to 1000000000"));
  top.RefuseTheRest();
  return scenario;
}

}  // namespace

absl::StatusOr<Scenario> ParseScenario(absl::string_view text, absl::string_view file,
                                       const Changes& changes, const ReadFile& read) {
  const std::string name(file);
  try {
    YAML::Node root = Unwrap(formats::ParseYaml(text, file));
    if (!root.IsMap()) {
      throw Problem{absl::StrCat(Place(root, name), "wanted fields (name: value)")};
    }
    ApplyChanges(root, changes);
    return ReadScenario(root, name, read);
  } catch (const Problem& problem) {
    return absl::InvalidArgumentError(problem.message);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", std::max(error.mark.line, 0) + 1, ": ", error.msg));
  }
}

}  // namespace wattle::sim
