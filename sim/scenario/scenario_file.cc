// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/scenario_file.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include <yaml-cpp/yaml.h>

#include "base/status_macros.h"
#include "formats/json.h"
#include "formats/yaml_node.h"
#include "scheduler/predict/imported_rows.h"
#include "scheduler/profiles/exported_rows.h"
#include "scheduler/profiles/profile_table.h"
#include "sim/scenario/csv.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/scenario_parts_internal.h"
#include "sim/scenario/true_rates.h"

namespace wattle::sim {
namespace {

// Measured rows of the boards' classes.
absl::Status ReadProfiles(const v1::ScenarioFile& file, const FilePart& top, Scenario& scenario) {
  if (file.profiles().empty()) {
    return absl::OkStatus();
  }
  *scenario.profiles.mutable_rows() = file.profiles();
  scenario.profiles.set_format(std::string(scheduler::kExportFormat));
  scenario.profiles.set_version(scheduler::kExportVersion);
  const auto rows =
      scheduler::ImportedRows(scheduler::ProfileTable::Priors(), scenario.profiles, kProfilesName);
  return rows.ok() ? absl::OkStatus()
                   : top.ErrorAt("profiles", absl::StrCat("profiles: ", rows.status().message()));
}

absl::Status ReadSun(const v1::ScenarioFile& file, const FilePart& top, const ReadFile& read,
                     Scenario& scenario) {
  if (!file.has_sun()) {
    for (const BoardGroup& group : scenario.fleet) {
      if (group.panel > Watts(0)) {
        return top.ErrorAt("fleet", absl::StrCat("sun: missing; fleet group ", group.name,
                                                 " has a panel; wanted sun: with a file"));
      }
    }
    return absl::OkStatus();
  }
  const v1::ScenarioSun& sun = file.sun();
  const FilePart part = top.Of("sun");
  WATTLE_ASSIGN_OR_RETURN(const std::string text, read(sun.file()));
  WATTLE_ASSIGN_OR_RETURN(const SunFile file_hours, ParseSun(text, sun.file()));
  double offset = file_hours.utc_offset_hours.value_or(0.0);
  if (sun.has_utc_offset_hours()) {
    offset = sun.utc_offset_hours();
  } else if (file_hours.is_local_time) {
    scenario.sun_clock = absl::StrFormat(
        "The hours of %s are taken as those of UTC%+g, %s; sun.utc_offset_hours sets another clock",
        sun.file(), offset,
        file_hours.utc_offset_hours ? "by its longitude" : "because the file has no longitude");
  }
  std::vector<double> hours = InHoursOfUtc(file_hours.hours, offset);
  const auto days = static_cast<int>(hours.size() / kHoursOfDay);
  if (sun.from_day() > std::max(days, 1)) {
    return part.Wrong("from_day", absl::StrCat("a day of ", sun.file(), ", 1 to ", days));
  }
  hours.erase(hours.begin(),
              hours.begin() + static_cast<ptrdiff_t>(kHoursOfDay) * (sun.from_day() - 1));
  const auto wanted = static_cast<size_t>(std::ceil(scenario.duration_seconds / kSecondsOfHour));
  if (hours.size() < wanted) {
    return part.Wrong("file", absl::StrCat(wanted, " hours from day ", sun.from_day(),
                                           " on, for duration; it has ", hours.size()));
  }
  hours.resize(wanted);
  for (double& hour : hours) {
    hour *= sun.performance();
  }
  scenario.sun = std::move(hours);
  scenario.sun_spread = sun.spread();
  if (sun.has_forecast_error()) {
    scenario.forecast_error = sun.forecast_error();
  }
  return absl::OkStatus();
}

// The boards and times of a cut or a fault; without `to` until the scenario's end.
template <typename Cut, typename Entry>
absl::StatusOr<Cut> TimesOf(const Entry& entry, const FilePart& part, const Scenario& scenario) {
  const double duration = scenario.duration_seconds;
  Cut cut;
  cut.group = entry.group();
  cut.begin_seconds = entry.from();
  cut.end_seconds = entry.has_to() ? entry.to() : duration;
  if (std::none_of(scenario.fleet.begin(), scenario.fleet.end(),
                   [&](const BoardGroup& group) { return group.name == cut.group; })) {
    return part.Wrong("group", "the name of a board group");
  }
  if (cut.begin_seconds > duration) {
    return part.Wrong("from", "a time within duration");
  }
  if (cut.end_seconds < cut.begin_seconds || cut.end_seconds > duration) {
    return part.Wrong("to", "a time after `from`, within duration");
  }
  return cut;
}

template <typename Entry>
absl::StatusOr<FaultTimes> FaultTimesOf(const Entry& entry, const FilePart& part,
                                        const Scenario& scenario) {
  WATTLE_ASSIGN_OR_RETURN(FaultTimes times, TimesOf<FaultTimes>(entry, part, scenario));
  times.per_day = entry.per_day();
  if (times.per_day > 0.0) {
    times.length_seconds = entry.for_();
  } else if (entry.has_for_()) {
    return part.Wrong("for", "a per_day beside it: from and to say how long a single one takes");
  }
  if (times.length_seconds > scenario.duration_seconds) {
    return part.Wrong("for", "a time within duration");
  }
  return times;
}

absl::Status ReadCutsAndFaults(const v1::ScenarioFile& file, const FilePart& top,
                               Scenario& scenario) {
  for (int i = 0; i < file.links_size(); ++i) {
    WATTLE_ASSIGN_OR_RETURN(LinkCut cut,
                            TimesOf<LinkCut>(file.links(i), top.Of("links", i), scenario));
    scenario.cuts.push_back(std::move(cut));
  }
  for (int i = 0; i < file.power_cuts_size(); ++i) {
    WATTLE_ASSIGN_OR_RETURN(FaultTimes cut,
                            FaultTimesOf(file.power_cuts(i), top.Of("power_cuts", i), scenario));
    scenario.power_cuts.push_back(std::move(cut));
  }
  for (int i = 0; i < file.faults_size(); ++i) {
    WATTLE_ASSIGN_OR_RETURN(FaultTimes times,
                            FaultTimesOf(file.faults(i), top.Of("faults", i), scenario));
    scenario.faults.push_back({.kind = file.faults(i).kind(), .times = std::move(times)});
  }
  return absl::OkStatus();
}

void ReadRates(const v1::ScenarioRates& rates, Scenario& scenario) {
  scenario.seconds_spread = rates.seconds_spread();
  scenario.watts_spread = rates.watts_spread();
  scenario.runs_spread = rates.runs_spread();
  scenario.step = rates.step();
  scenario.drift = rates.drift();
  scenario.throttle = rates.throttle();
  scenario.software = rates.software();
}

absl::Status ReadPolicies(const v1::ScenarioFile& file, const FilePart& top, Scenario& scenario) {
  scenario.policies.assign(file.policy().begin(), file.policy().end());
  if (scenario.policies.empty()) {
    scenario.policies = {"ours"};
  }
  const std::vector<std::string> known = PolicyNames();
  std::set<std::string> seen;
  for (const std::string& policy : scenario.policies) {
    if (std::find(known.begin(), known.end(), policy) == known.end() ||
        !seen.insert(policy).second) {
      return top.ErrorAt(
          "policy", absl::StrCat("policy: \"", formats::Printable(policy),
                                 "\"; wanted each at most once of ", absl::StrJoin(known, ", ")));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Scenario> ReadScenario(YAML::Node root, const std::string& name,
                                      const Changes& changes, const ReadFile& read) {
  if (root.IsMap()) {
    WATTLE_RETURN_IF_ERROR(ApplyChanges(root, changes));
  }
  v1::ScenarioFile file;
  WATTLE_RETURN_IF_ERROR(formats::ReadMessage(root, name, file));
  const FilePart top(root, name, "");
  Scenario scenario;
  scenario.name = file.has_name() ? file.name() : name;
  scenario.duration_seconds = file.duration();
  WATTLE_RETURN_IF_ERROR(ReadFleet(file, top, read, scenario));
  WATTLE_RETURN_IF_ERROR(ReadFleetPolicies(file, top, scenario));
  WATTLE_RETURN_IF_ERROR(CheckPowerGroups(top, scenario));
  WATTLE_RETURN_IF_ERROR(CheckPoliciesLetWork(top, scenario));
  WATTLE_RETURN_IF_ERROR(ReadProfiles(file, top, scenario));
  WATTLE_RETURN_IF_ERROR(ReadArtifacts(file, top, scenario));
  WATTLE_RETURN_IF_ERROR(ReadSun(file, top, read, scenario));
  WATTLE_RETURN_IF_ERROR(ReadJobs(file, top, read, scenario));
  WATTLE_RETURN_IF_ERROR(ReadCutsAndFaults(file, top, scenario));
  ReadRates(file.rates(), scenario);
  WATTLE_RETURN_IF_ERROR(ReadPolicies(file, top, scenario));
  scenario.seeds = file.seeds();
  scenario.first_seed = static_cast<uint64_t>(file.seed());
  return scenario;
}

}  // namespace

FilePart FilePart::Of(const std::string& field) const {
  return {node_[field], file_, path_.empty() ? field : absl::StrCat(path_, ".", field)};
}

FilePart FilePart::Of(const std::string& field, int index) const {
  const FilePart list = Of(field);
  return {list.node_[index], file_, list.path_};
}

std::string FilePart::Place() const {
  return formats::PlaceOf(node_.Mark(), file_);
}

std::string FilePart::PlaceOf(const std::string& field) const {
  const YAML::Node child = node_[field];
  return child ? formats::PlaceOf(child.Mark(), file_) : Place();
}

absl::Status FilePart::Error(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(Place(), what));
}

absl::Status FilePart::ErrorAt(const std::string& field, absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(PlaceOf(field), what));
}

absl::Status FilePart::Wrong(const std::string& field, absl::string_view wanted) const {
  const YAML::Node child = node_[field];
  const std::string value =
      child && child.IsScalar() ? formats::Printable(child.Scalar()) : "not a single value";
  return ErrorAt(field, absl::StrCat(path_, path_.empty() ? "" : ".", field, ": \"", value,
                                     "\"; wanted ", wanted));
}

absl::StatusOr<Scenario> ParseScenario(absl::string_view text, absl::string_view file,
                                       const Changes& changes, const ReadFile& read) {
  const std::string name(file);
  WATTLE_ASSIGN_OR_RETURN(const YAML::Node root, formats::ParseYaml(text, file));
  try {
    absl::StatusOr<Scenario> scenario = ReadScenario(root, name, changes, read);
    // The file is invalid, whatever the reason.
    return scenario.ok() ? std::move(scenario)
                         : absl::InvalidArgumentError(scenario.status().message());
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", std::max(error.mark.line, 0) + 1, ": ", error.msg));
  }
}

}  // namespace wattle::sim
