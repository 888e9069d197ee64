// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/scenario_file.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <yaml-cpp/yaml.h>

#include "coordinator/core/core.h"
#include "formats/yaml_node.h"
#include "proto/model_shape.h"
#include "scheduler/predict/imported_rows.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/exported_rows.h"
#include "scheduler/profiles/profile_table.h"
#include "sim/scenario/bound.h"
#include "sim/scenario/csv.h"
#include "sim/scenario/planners.h"
#include "sim/scenario/true_rates.h"
#include "sim/scenario/yaml_fields_internal.h"

namespace wattle::sim {
namespace {

constexpr double kDurationMax = 366.0 * kSecondsOfDay;
constexpr int kBoardsMax = 1000;
constexpr int kSeedsMax = 1000;
constexpr size_t kArrivalsMax = 100'000;
constexpr double kBytesPerMegabit = 125'000.0;
// Of a panel's watts at 1000 W/m2, what reaches the pack: heat, dirt, wiring and the charger.
constexpr double kPanelPerformance = 0.8;
constexpr double kBytesPerWeight = 4.0;
constexpr size_t kIdDigits = 64;
// Fields of a board group that --set changes in every group with a pack, and in every group.
constexpr const char* kPackFields[] = {"reserve", "charge", "pack_wh", "panel_watts"};
constexpr const char* kGroupFields[] = {"count", "link_mbit"};

// --- changes of the command line ---

std::pair<std::string, std::string> SplitChange(const std::string& flag, const std::string& change,
                                                absl::string_view wanted) {
  const std::vector<std::string> parts = absl::StrSplit(change, absl::MaxSplits('=', 1));
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) {
    throw Problem{absl::StrCat(flag, " ", change, ": wanted ", wanted)};
  }
  return {parts[0], parts[1]};
}

bool IsNamed(const YAML::Node& group, const std::string& name) {
  return group.IsMap() && group["name"] && group["name"].IsScalar() &&
         group["name"].Scalar() == name;
}

// A value that is only assigned to keeps its line of the file.
void Replace(YAML::Node& map, const std::string& key, const std::string& value) {
  map.remove(key);
  map[key] = value;
}

void ApplySet(YAML::Node& root, const std::string& change) {
  const auto [key, value] =
      SplitChange("--set", change, "FIELD=VALUE, such as reserve=0.4 or mast.count=3");
  YAML::Node fleet = root["fleet"];
  const std::vector<std::string> path = absl::StrSplit(key, absl::MaxSplits('.', 1));
  const auto is_key = [&key = key](const char* field) { return key == field; };
  const bool of_packs = std::any_of(std::begin(kPackFields), std::end(kPackFields), is_key);
  const bool of_groups = std::any_of(std::begin(kGroupFields), std::end(kGroupFields), is_key);
  if (path.size() == 1 && !of_packs && !of_groups) {
    Replace(root, key, value);
    return;
  }
  bool any = false;
  for (size_t i = 0; fleet.IsSequence() && i < fleet.size(); ++i) {
    YAML::Node group = fleet[i];
    const bool has_pack = group.IsMap() && group["pack_wh"];
    if (path.size() == 2 ? IsNamed(group, path[0]) : group.IsMap() && (of_groups || has_pack)) {
      Replace(group, path.back(), value);
      any = true;
    }
  }
  if (!any) {
    throw Problem{absl::StrCat(
        "--set ", change, ": no board group ",
        path.size() == 2 ? absl::StrCat("is named ", path[0]) : std::string("has a pack"),
        "; wanted a field of a group in fleet")};
  }
}

void ApplyAdd(YAML::Node& root, const std::string& change) {
  const auto [name, count] = SplitChange("--add", change, "CLASS=COUNT, such as raspberry-pi-5=2");
  YAML::Node group;
  group["name"] = absl::StrCat("added-", name);
  group["class"] = name;
  group["count"] = count;
  root["fleet"].push_back(group);
}

// --- the parts of a file ---

// One of the known classes, whose figures the group may replace; or another, whose figures it
// tells.
BoardClass ClassOf(Fields& fields) {
  BoardClass told;
  told.name = fields.Text("class");
  std::vector<std::string> names;
  bool known = false;
  for (const BoardClass& one : BoardClasses()) {
    told = one.name == told.name ? one : told;
    known = known || one.name == told.name;
    names.push_back(one.name);
  }
  if (!known && !(fields.Has("idle_watts") && fields.Has("memory_bytes"))) {
    fields.Fail("class", absl::StrCat("one of ", absl::StrJoin(names, ", "),
                                      ", or another with idle_watts and memory_bytes"));
  }
  told.idle = Watts(fields.Number("idle_watts", 0.0, 1e4, told.idle.value(), "0 to 10000 W"));
  told.memory_bytes = std::llround(fields.Number(
      "memory_bytes", 1e6, 1e15, static_cast<double>(told.memory_bytes), "1e6 to 1e15 bytes"));
  told.cores = fields.Whole("cores", 1, 4096, std::max(told.cores, 1), "1 to 4096");
  told.accelerator = fields.Text("accelerator", told.accelerator);
  told.flops_per_second =
      fields.Number("flops_per_second", 0.0, 1e18, told.flops_per_second, "0 to 1e18");
  return told;
}

// The boards of the group: a number of them, or their names.
void ReadBoards(Fields& fields, BoardGroup& group) {
  group.count = fields.Whole("count", 1, kBoardsMax, 1, absl::StrCat("1 to ", kBoardsMax));
  group.board_names = fields.Texts("boards");
  if (group.board_names.empty()) {
    return;
  }
  if (fields.Has("count")) {
    fields.Fail("count", "no count beside boards, which are counted");
  }
  const std::set<std::string> names(group.board_names.begin(), group.board_names.end());
  if (names.size() != group.board_names.size() || names.count("") > 0) {
    fields.Fail("boards", "names that differ");
  }
  group.count = static_cast<int>(names.size());
}

void ReadLabels(Fields& fields, BoardGroup& group) {
  for (const std::string& text : fields.Texts("labels")) {
    const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    if (parts[0].empty()) {
      fields.Fail("labels", "labels such as [site=mast]");
    }
    v1::Label& label = group.labels.emplace_back();
    label.set_key(parts[0]);
    label.set_value(parts.size() == 2 ? parts[1] : "");
  }
}

// A clear sky needs a date.
void RefusePlace(const v1::Policy& policy, const std::string& place, absl::string_view field) {
  if (policy.has_place()) {
    throw Problem{absl::StrCat(place, field,
                               ".place: a scenario's days have no date, and a clear "
                               "sky needs one; wanted a policy without place")};
  }
}

void ReadPolicy(Fields& fields, BoardGroup& group) {
  v1::Policy policy;
  if (fields.Has("policy")) {
    Check(formats::ReadMessage(fields.Node("policy"), fields.file(), policy));
  }
  if (policy.has_place()) {
    RefusePlace(policy, Place(fields.Node("policy"), fields.file()), "fleet.policy");
  }
  if (fields.Has("reserve")) {
    if (!group.pack) {
      fields.Fail("reserve", "a pack_wh beside it: a board on mains has nothing to reserve");
    }
    policy.set_reserve_state_of_charge_ratio(
        fields.Number("reserve", 0.0, 1.0, 0.0, "0 to 1, a share of the pack's capacity"));
  }
  if (policy.ByteSizeLong() == 0) {
    return;  // Nothing is demanded.
  }
  policy.set_name(group.name);
  policy.clear_selector();
  policy.add_selector(absl::StrCat("group=", group.name));
  if (const absl::Status valid = core::ValidatePolicy(policy);
      !valid.ok() && (fields.Has("policy") || policy.reserve_state_of_charge_ratio() > 0.0)) {
    throw Problem{absl::StrCat(fields.file(), ": fleet group ", group.name, ": ", valid.message())};
  } else if (valid.ok()) {
    group.policy = policy;
  }
}

void ReadHeat(Fields& group_fields, BoardGroup& group) {
  if (!group_fields.Has("heat")) {
    return;
  }
  Fields fields(group_fields.Node("heat"), group_fields.file(), "fleet.heat");
  TrueHeat& heat = group.heat.emplace();
  heat.kelvin_per_watt =
      fields.Number("kelvin_per_watt", 0.1, 100.0, heat.kelvin_per_watt, "0.1 to 100 K/W");
  heat.time_constant_seconds = fields.Span("time_constant", 10.0, 4 * kSecondsOfHour,
                                           heat.time_constant_seconds, "10s to 4h, such as 15m");
  heat.air = Celsius(fields.Number("air_celsius", -40.0, 60.0, heat.air.value(), "-40 to 60 °C"));
  heat.air_swing_kelvin = fields.Number("air_swing_kelvin", 0.0, 40.0, 0.0, "0 to 40 K");
  if (fields.Has("throttle_celsius")) {
    const double least = heat.air.value() + heat.air_swing_kelvin +
                         heat.kelvin_per_watt * group.board_class.idle.value();
    const double throttle = fields.Number("throttle_celsius", 40.0, 130.0, 0.0, "40 to 130 °C");
    if (throttle <= least) {
      fields.Fail("throttle_celsius",
                  absl::StrFormat("more than the %.0f °C of an idle board on a warm day", least));
    }
    heat.throttle = Celsius(throttle);
  }
  fields.RefuseTheRest();
}

BoardGroup ReadGroup(const YAML::Node& node, const std::string& file) {
  Fields fields(node, file, "fleet");
  BoardGroup group;
  group.board_class = ClassOf(fields);
  group.name = fields.Text("name", group.board_class.name);
  ReadBoards(fields, group);
  group.power_mode = fields.Text("power_mode", "");
  if (fields.Has("pack_wh")) {
    const double wh =
        fields.Number("pack_wh", 1.0, 1e6, 0.0, "1 to 1000000 Wh, or no pack_wh for mains");
    group.pack = FromWattHours(wh);
  }
  group.charge =
      Fraction(fields.Number("charge", 0.0, 1.0, 1.0, "0 to 1, a share of the pack's capacity"));
  group.gauge_error =
      Fraction(fields.Number("gauge_error", 0.0, 0.2, 0.02, "0 to 0.2, a share of the capacity"));
  group.panel = Watts(fields.Number("panel_watts", 0.0, 1e5, 0.0, "0 to 100000 W at 1000 W/m2"));
  if (group.panel > Watts(0) && !group.pack) {
    fields.Fail("panel_watts", "a pack_wh beside it: a panel charges a pack");
  }
  group.link_bytes_per_second =
      kBytesPerMegabit * fields.Number("link_mbit", 0.01, 1e5, 10.0, "0.01 to 100000 Mbit/s");
  ReadHeat(fields, group);
  ReadLabels(fields, group);
  ReadPolicy(fields, group);
  fields.RefuseTheRest();
  return group;
}

// Policies of the fleet, which select boards by their labels.
void ReadFleetPolicies(Fields& top, Scenario& scenario) {
  std::set<std::string> names;
  for (const BoardGroup& group : scenario.fleet) {
    names.insert(group.policy ? group.name : "");  // The name of its own policy.
  }
  for (const YAML::Node& node : top.List("fleet_policies")) {
    v1::Policy& policy = scenario.fleet_policies.emplace_back();
    Check(formats::ReadMessage(node, top.file(), policy));
    RefusePlace(policy, Place(node, top.file()), "fleet_policies");
    if (const absl::Status valid = core::ValidatePolicy(policy); !valid.ok()) {
      throw Problem{absl::StrCat(Place(node, top.file()), "fleet_policies: ", valid.message())};
    }
    if (!names.insert(policy.name()).second) {
      throw Problem{absl::StrCat(Place(node, top.file()), "fleet_policies.name: \"", policy.name(),
                                 "\" names two policies; wanted another")};
    }
  }
}

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

// An id for an artifact without content.
std::string IdOf(const std::string& kind, const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  std::string id;
  while (id.size() < kIdDigits) {
    for (const char byte : absl::StrCat(kind, "/", name, id.size())) {
      hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    }
    absl::StrAppend(&id, absl::Hex(hash, absl::kZeroPad16));
  }
  return id;
}

v1::ArtifactInfo ModelNamed(const std::string& name, const v1::ModelShape& shape) {
  v1::ArtifactInfo model;
  model.set_artifact_id(IdOf("model", name));
  model.set_name(name);
  model.set_kind(v1::ARTIFACT_KIND_MODEL);
  *model.mutable_model_shape() = shape;
  model.set_parameter_count(std::llround(ParameterCount(shape)));
  model.set_quantization("none");
  model.set_size_bytes(std::llround(kBytesPerWeight * ParameterCount(shape)));
  return model;
}

// The shape of the published tables' model with so many layers.
v1::ModelShape PublishedShape(int layers) {
  for (const v1::ProfileRow& row : scheduler::ProfileTable::Priors().Rows()) {
    if (row.signature().model().layers() == layers) {
      return row.signature().model();
    }
  }
  return {};
}

void ReadArtifacts(Fields& top, Scenario& scenario) {
  // The models of the published tables are always there.
  scenario.artifacts = {ModelNamed("gpt2", PublishedShape(12)),
                        ModelNamed("distilgpt2", PublishedShape(6))};
  for (const auto& [name, node] : top.Map("models")) {
    v1::ModelShape shape;
    Check(formats::ReadMessage(node, top.file(), shape));
    if (const absl::Status valid = CheckModelShape(shape, absl::StrCat("models.", name));
        !valid.ok()) {
      throw Problem{absl::StrCat(Place(node, top.file()), valid.message())};
    }
    auto& known = scenario.artifacts;
    known.erase(std::remove_if(known.begin(), known.end(),
                               [&name = name](const auto& one) { return one.name() == name; }),
                known.end());  // Its own gpt2 in place of the published one.
    known.push_back(ModelNamed(name, shape));
  }
  for (const auto& [name, node] : top.Map("data")) {
    Fields fields(node, top.file(), absl::StrCat("data.", name));
    v1::ArtifactInfo data;
    data.set_artifact_id(IdOf("data", name));
    data.set_name(name);
    data.set_kind(v1::ARTIFACT_KIND_DATASET);
    const double examples =
        fields.Number("examples", 1.0, 1e9, 0.0, "a number of examples, 1 to 1000000000");
    if (examples < 1.0) {
      fields.Fail("examples", "a number of examples, 1 to 1000000000");
    }
    const double bytes =
        fields.Number("mean_bytes", 1.0, 1e6, 882.0, "the mean bytes of an example, 1 to 1000000");
    data.mutable_dataset()->set_format(fields.Text("format", "squad"));
    data.mutable_dataset()->set_examples(std::llround(examples));
    data.mutable_dataset()->set_mean_byte_length(bytes);
    data.set_size_bytes(std::llround(examples * bytes));
    fields.RefuseTheRest();
    scenario.artifacts.push_back(data);
  }
}

void ReadSun(Fields& top, const ReadFile& read, Scenario& scenario) {
  if (!top.Has("sun")) {
    for (const BoardGroup& group : scenario.fleet) {
      if (group.panel > Watts(0)) {
        throw Problem{absl::StrCat(top.file(), ": sun: missing; fleet group ", group.name,
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
  fields.RefuseTheRest();
}

// The times of one entry of jobs: once, every so often, drawn, or of a trace.
void ReadTimes(Fields& fields, const ReadFile& read, double duration, JobGroup& group) {
  const std::string within = "a time within duration, such as 6h or 1d 12h";
  group.begin_seconds = fields.Span("at", 0.0, duration, 0.0, within);
  group.end_seconds = fields.Span("until", 0.0, duration, duration, within);
  group.per_day = fields.Number("per_day", 0.0, 1e5, 0.0, "0 to 100000 jobs a day");
  const double every = fields.Span("every", 1.0, duration, 0.0, "a time from 1s on, such as 2h");
  const int count = fields.Whole("count", 1, static_cast<int>(kArrivalsMax), 0,
                                 absl::StrCat("1 to ", kArrivalsMax));
  const std::string trace = fields.Text("trace", "");
  if ((every > 0.0 ? 1 : 0) + (group.per_day > 0.0 ? 1 : 0) + (trace.empty() ? 0 : 1) > 1) {
    throw Problem{
        absl::StrCat(fields.file(), ": job ", group.spec.name(),
                     ": every, per_day and trace exclude each other; wanted one of them")};
  }
  if (!trace.empty()) {
    group.arrivals = Unwrap(ParseArrivals(Unwrap(read(trace)), trace));
    if (group.arrivals.back().at_seconds >= duration) {
      fields.Fail("trace", absl::StrCat("arrivals before the end of duration; its last is at ",
                                        group.arrivals.back().at_seconds, " s"));
    }
  } else if (every > 0.0) {
    const size_t most = count > 0 ? static_cast<size_t>(count) : kArrivalsMax + 1;
    double at = group.begin_seconds;
    while (group.arrivals.size() < most && at < group.end_seconds) {
      group.arrivals.push_back({.at_seconds = at});
      at += every;
    }
  } else if (!(group.per_day > 0.0)) {
    group.arrivals.assign(static_cast<size_t>(std::max(count, 1)),
                          {.at_seconds = group.begin_seconds});
  }
  const double drawn = group.per_day * (group.end_seconds - group.begin_seconds) / kSecondsOfDay;
  if (drawn > static_cast<double>(kArrivalsMax)) {
    fields.Fail("per_day", absl::StrCat("at most ", kArrivalsMax, " arrivals in all"));
  }
  if (group.arrivals.size() > kArrivalsMax) {
    throw Problem{absl::StrCat(fields.file(), ": job ", group.spec.name(), ": ",
                               group.arrivals.size(), " arrivals; wanted at most ", kArrivalsMax)};
  }
}

JobGroup ReadJobs(const YAML::Node& node, const std::string& file, const ReadFile& read,
                  const Scenario& scenario) {
  Fields fields(node, file, "jobs");
  JobGroup group;
  const YAML::Node job = fields.Node("job");
  Check(formats::ReadMessage(job, file, group.spec));
  const std::string name = fields.Text("name", group.spec.name());
  if (name.empty()) {
    throw Problem{absl::StrCat(Place(node, file), "jobs.name: missing; wanted a name")};
  }
  group.spec.set_name(name);
  ReadTimes(fields, read, scenario.duration_seconds, group);
  fields.RefuseTheRest();
  absl::Status valid = core::ValidateSpec(group.spec, /*files_needed=*/true);
  if (valid.ok()) {
    valid = InputsOf(scenario, group.spec).status();
  }
  if (!valid.ok()) {
    throw Problem{absl::StrCat(Place(job, file), "job ", name, ": ", valid.message())};
  }
  return group;
}

LinkCut ReadCut(const YAML::Node& node, const Scenario& scenario, const std::string& file) {
  Fields fields(node, file, "links");
  LinkCut cut;
  cut.group = fields.Text("group");
  const bool known = std::any_of(scenario.fleet.begin(), scenario.fleet.end(),
                                 [&](const auto& group) { return group.name == cut.group; });
  if (!known) {
    fields.Fail("group", "the name of a board group");
  }
  const double duration = scenario.duration_seconds;
  cut.begin_seconds = fields.Span("from", 0.0, duration, 0.0, "a time within duration");
  fields.Node("to");
  cut.end_seconds =
      fields.Span("to", cut.begin_seconds, duration, 0.0, "a time after `from`, within duration");
  fields.RefuseTheRest();
  return cut;
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
  std::vector<std::string> known = PolicyNames();
  known.emplace_back(kBoundPolicy);
  std::set<std::string> seen;
  for (const std::string& policy : scenario.policies) {
    if (std::find(known.begin(), known.end(), policy) == known.end() ||
        !seen.insert(policy).second) {
      throw Problem{absl::StrCat(Place(top.Node("policy"), top.file()), "policy: \"", policy,
                                 "\"; wanted each at most once of ", absl::StrJoin(known, ", "))};
    }
    if (const absl::Status there = CheckBound(); policy == kBoundPolicy && !there.ok()) {
      throw Problem{absl::StrCat(Place(top.Node("policy"), top.file()), there.message())};
    }
  }
}

void ReadFleet(Fields& top, Scenario& scenario) {
  std::set<std::string> names;
  for (const YAML::Node& node : top.List("fleet")) {
    scenario.fleet.push_back(ReadGroup(node, top.file()));
    if (!names.insert(scenario.fleet.back().name).second) {
      throw Problem{absl::StrCat(Place(node, top.file()), "fleet.name: \"",
                                 scenario.fleet.back().name,
                                 "\" names two groups; wanted another")};
    }
  }
  std::set<std::string> boards;
  for (const BoardGroup& group : scenario.fleet) {
    for (int number = 1; number <= group.count; ++number) {
      if (!boards.insert(group.BoardName(number)).second) {
        throw Problem{absl::StrCat(top.file(), ": fleet: \"", group.BoardName(number),
                                   "\" names two boards; wanted another")};
      }
    }
  }
  if (scenario.fleet.empty() || scenario.boards() > kBoardsMax) {
    throw Problem{absl::StrCat(top.file(), ": fleet: ", scenario.boards(), " boards; wanted 1 to ",
                               kBoardsMax)};
  }
}

Scenario ReadScenario(const YAML::Node& root, const std::string& file, const ReadFile& read) {
  Fields top(root, file, "");
  Scenario scenario;
  scenario.name = top.Text("name", file);
  top.Node("duration");
  scenario.duration_seconds = top.Span("duration", kSecondsOfHour, kDurationMax, 0.0,
                                       "1h to 366d, such as 12h, 3d or 1d 12h");
  ReadFleet(top, scenario);
  ReadFleetPolicies(top, scenario);
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
    for (const std::string& change : changes.set) {
      ApplySet(root, change);
    }
    for (const std::string& change : changes.add) {
      ApplyAdd(root, change);
    }
    return ReadScenario(root, name, read);
  } catch (const Problem& problem) {
    return absl::InvalidArgumentError(problem.message);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", std::max(error.mark.line, 0) + 1, ": ", error.msg));
  }
}

}  // namespace wattle::sim
