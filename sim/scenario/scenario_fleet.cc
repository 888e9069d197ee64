// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The boards of a scenario's file, in groups, with their policies.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <yaml-cpp/yaml.h>

#include "coordinator/core/core.h"
#include "formats/yaml_node.h"
#include "sim/scenario/csv.h"
#include "sim/scenario/drawn_boards.h"
#include "sim/scenario/scenario_parts_internal.h"
#include "sim/scenario/yaml_fields_internal.h"

namespace wattle::sim {
namespace {

constexpr int kBoardsMax = 1000;
constexpr double kBytesPerMegabit = 125'000.0;

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
  told.card_bytes = std::llround(fields.Number(
      "card_bytes", 1e6, 1e15, static_cast<double>(told.card_bytes), "1e6 to 1e15 bytes"));
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
    throw Problem{
        absl::StrCat(Place(fields.Node(fields.Has("policy") ? "policy" : "reserve"), fields.file()),
                     "fleet group ", group.name, ": ", valid.message())};
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

// Hours without a rate, as cuts.
void AddCuts(const BoardGroup& group, Scenario& scenario) {
  bool is_cut = false;
  for (size_t hour = 0; static_cast<double>(hour) * kSecondsOfHour < scenario.duration_seconds;
       ++hour) {
    const double begin = static_cast<double>(hour) * kSecondsOfHour;
    const bool was_cut =
        std::exchange(is_cut, group.link_by_hour[hour % group.link_by_hour.size()] <= 0.0);
    if (is_cut && !was_cut) {
      scenario.cuts.push_back({.group = group.name, .begin_seconds = begin});
    }
    if (is_cut) {
      scenario.cuts.back().end_seconds =
          std::min(begin + kSecondsOfHour, scenario.duration_seconds);
    }
  }
}

// A rate, or a CSV of rates by the hour.
void ReadLink(Fields& fields, const ReadFile& read, Scenario& scenario, BoardGroup& group) {
  const std::string file = fields.Has("link_mbit") && fields.Node("link_mbit").IsScalar()
                               ? fields.Text("link_mbit")
                               : "";
  if (!absl::EndsWith(file, ".csv")) {
    group.link_bytes_per_second =
        kBytesPerMegabit * fields.Number("link_mbit", 0.01, 1e5, 10.0,
                                         "0.01 to 100000 Mbit/s, or a CSV hour,mbit: link.csv");
    return;
  }
  group.link_by_hour = Unwrap(ParseLink(Unwrap(read(file)), file));
  const size_t hours = group.link_by_hour.size();
  const auto wanted = static_cast<size_t>(std::ceil(scenario.duration_seconds / kSecondsOfHour));
  if (hours < wanted && hours % kHoursOfDay != 0) {
    fields.Fail("link_mbit", absl::StrCat("a file of whole days, which repeat, or of ", wanted,
                                          " hours, for duration; it has ", hours, " hours"));
  }
  for (double& rate : group.link_by_hour) {
    rate *= kBytesPerMegabit;
  }
  AddCuts(group, scenario);
}

BoardGroup ReadGroup(const YAML::Node& node, const std::string& file, const ReadFile& read,
                     Scenario& scenario) {
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
  ReadLink(fields, read, scenario, group);
  ReadHeat(fields, group);
  ReadLabels(fields, group);
  ReadPolicy(fields, group);
  fields.RefuseTheRest();
  return group;
}

}  // namespace

void ReadFleet(Fields& top, const ReadFile& read, Scenario& scenario) {
  std::set<std::string> names;
  for (const YAML::Node& node : top.List("fleet")) {
    scenario.fleet.push_back(ReadGroup(node, top.file(), read, scenario));
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
        throw Problem{absl::StrCat(Place(top.Node("fleet"), top.file()), "fleet: \"",
                                   group.BoardName(number), "\" names two boards; wanted another")};
      }
    }
  }
  if (scenario.fleet.empty() || scenario.boards() > kBoardsMax) {
    const std::string place =
        top.Has("fleet") ? Place(top.Node("fleet"), top.file()) : absl::StrCat(top.file(), ": ");
    throw Problem{
        absl::StrCat(place, "fleet: ", scenario.boards(), " boards; wanted 1 to ", kBoardsMax)};
  }
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

namespace {

// What the groups of a shared pack tell of it, each by the group that told it first.
struct ToldPack {
  const BoardGroup* first = nullptr;
  const BoardGroup* with_panel = nullptr;
};

std::string WattHoursText(const BoardGroup& group) {
  return group.pack ? absl::StrFormat("%g", ToWattHours(*group.pack)) : "";
}

// The field that contradicts what the pack's other groups tell; "": none does.
std::string ContradictionOf(const BoardGroup& group, const ToldPack& told) {
  const auto contradiction = [](const char* field, const std::string& value,
                                const std::string& wanted, const BoardGroup& of) {
    return absl::StrCat("fleet.", field, ": \"", value, "\"; wanted ", wanted, ", which group ",
                        of.name, " tells");
  };
  if (group.pack != told.first->pack) {
    return contradiction("pack_wh", WattHoursText(group), WattHoursText(*told.first), *told.first);
  }
  if (group.charge != told.first->charge) {
    return contradiction("charge", absl::StrFormat("%g", group.charge.value()),
                         absl::StrFormat("%g", told.first->charge.value()), *told.first);
  }
  if (group.panel > Watts(0) && group.panel != told.with_panel->panel) {
    return contradiction("panel_watts", absl::StrFormat("%g", group.panel.value()),
                         absl::StrFormat("%g", told.with_panel->panel.value()), *told.with_panel);
  }
  return "";
}

}  // namespace

void CheckPowerGroups(Fields& top, const Scenario& scenario) {
  const std::vector<YAML::Node> nodes = top.List("fleet");
  for (size_t i = 0; i < scenario.fleet.size(); ++i) {
    const v1::Policy* first = nullptr;
    for (const v1::Policy* const policy : PoliciesOf(scenario, scenario.fleet[i])) {
      if (!policy->has_power_group()) {
        continue;
      }
      first = first == nullptr ? policy : first;
      if (policy->power_group().name() != first->power_group().name()) {
        throw Problem{absl::StrCat(Place(nodes[i], top.file()), "fleet: group ",
                                   scenario.fleet[i].name, " would be in two power groups, ",
                                   first->power_group().name(), " (policy ", first->name(),
                                   ") and ", policy->power_group().name(), " (policy ",
                                   policy->name(), "); wanted one, so change a selector")};
      }
    }
  }
}

void CheckSharedPacks(Fields& top, const Scenario& scenario) {
  const std::vector<YAML::Node> nodes = top.List("fleet");
  std::map<std::string, ToldPack> packs;
  for (size_t i = 0; i < scenario.fleet.size(); ++i) {
    const BoardGroup& group = scenario.fleet[i];
    const std::string name = SharedPackOf(scenario, group);
    if (name.empty()) {
      continue;
    }
    if (!group.pack) {
      throw Problem{absl::StrCat(Place(nodes[i], top.file()), "fleet.pack_wh: missing; group ",
                                 group.name, " shares pack ", name,
                                 ", so wanted the whole pack's")};
    }
    ToldPack& told = packs[name];
    told.first = told.first == nullptr ? &group : told.first;
    if (told.with_panel == nullptr && group.panel > Watts(0)) {
      told.with_panel = &group;
    }
    if (const std::string contradiction = ContradictionOf(group, told); !contradiction.empty()) {
      throw Problem{absl::StrCat(Place(nodes[i], top.file()), contradiction, " of pack ", name,
                                 ", which they share")};
    }
  }
}

}  // namespace wattle::sim
