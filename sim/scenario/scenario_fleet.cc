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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "sim/scenario/csv.h"
#include "sim/scenario/drawn_boards.h"
#include "sim/scenario/scenario_parts_internal.h"

namespace wattle::sim {
namespace {

constexpr int kBoardsMax = 1000;
constexpr double kBytesPerMegabit = 125'000.0;

// A known class, whose figures the group may replace, or another one, whose figures the group must
// give.
absl::StatusOr<BoardClass> ClassOf(const v1::ScenarioBoards& boards, const FilePart& part) {
  BoardClass told;
  told.name = boards.class_();
  std::vector<std::string> names;
  bool known = false;
  for (const BoardClass& one : BoardClasses()) {
    told = one.name == told.name ? one : told;
    known = known || one.name == told.name;
    names.push_back(one.name);
  }
  if (!known && !(boards.has_idle_watts() && boards.has_memory_bytes())) {
    return part.Wrong("class", absl::StrCat("one of ", absl::StrJoin(names, ", "),
                                            ", or another with idle_watts and memory_bytes"));
  }
  told.idle = boards.has_idle_watts() ? Watts(boards.idle_watts()) : told.idle;
  told.memory_bytes =
      boards.has_memory_bytes() ? std::llround(boards.memory_bytes()) : told.memory_bytes;
  told.cores = boards.has_cores() ? boards.cores() : std::max(told.cores, 1);
  told.accelerator = boards.has_accelerator() ? boards.accelerator() : told.accelerator;
  told.card_bytes = boards.has_card_bytes() ? std::llround(boards.card_bytes()) : told.card_bytes;
  told.flops_per_second =
      boards.has_flops_per_second() ? boards.flops_per_second() : told.flops_per_second;
  return told;
}

// The boards of the group: their number or their names.
absl::Status ReadBoards(const v1::ScenarioBoards& boards, const FilePart& part, BoardGroup& group) {
  group.count = boards.count();
  if (boards.boards().empty()) {
    return absl::OkStatus();
  }
  if (boards.has_count()) {
    return part.Wrong("count", "no count beside boards, which are counted");
  }
  group.board_names.assign(boards.boards().begin(), boards.boards().end());
  const std::set<std::string> names(group.board_names.begin(), group.board_names.end());
  if (names.size() != group.board_names.size() || names.count("") > 0) {
    return part.Wrong("boards", "names that differ");
  }
  group.count = static_cast<int>(names.size());
  return absl::OkStatus();
}

absl::Status ReadLabels(const v1::ScenarioBoards& boards, const FilePart& part, BoardGroup& group) {
  for (const std::string& text : boards.labels()) {
    const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    if (parts[0].empty()) {
      return part.Wrong("labels", "labels such as [site=mast]");
    }
    v1::Label& label = group.labels.emplace_back();
    label.set_key(parts[0]);
    label.set_value(parts.size() == 2 ? parts[1] : "");
  }
  return absl::OkStatus();
}

// Refuses a place, because a clear sky needs a date.
absl::Status RefusePlace(const v1::Policy& policy, const std::string& place,
                         absl::string_view field) {
  return policy.has_place() ? absl::InvalidArgumentError(absl::StrCat(
                                  place, field,
                                  ".place: a scenario's days have no date, and a clear sky needs "
                                  "one; wanted a policy without place"))
                            : absl::OkStatus();
}

absl::Status ReadPolicy(const v1::ScenarioBoards& boards, const FilePart& part, BoardGroup& group) {
  v1::Policy policy = boards.policy();
  WATTLE_RETURN_IF_ERROR(RefusePlace(policy, part.PlaceOf("policy"), "fleet.policy"));
  if (boards.has_reserve()) {
    if (!group.pack) {
      return part.Wrong("reserve", "a pack_wh beside it: a board on mains has nothing to reserve");
    }
    policy.set_reserve_state_of_charge_ratio(boards.reserve());
  }
  if (policy.ByteSizeLong() == 0) {
    return absl::OkStatus();  // No place is set.
  }
  policy.set_name(group.name);
  policy.clear_selector();
  policy.add_selector(absl::StrCat("group=", group.name));
  if (const absl::Status valid = core::ValidatePolicy(policy); valid.ok()) {
    group.policy = policy;
  } else if (boards.has_policy() || policy.reserve_state_of_charge_ratio() > 0.0) {
    return absl::InvalidArgumentError(
        absl::StrCat(part.PlaceOf(boards.has_policy() ? "policy" : "reserve"), "fleet group ",
                     group.name, ": ", valid.message()));
  }
  return absl::OkStatus();
}

absl::Status ReadHeat(const v1::ScenarioHeat& told, const FilePart& part, BoardGroup& group) {
  TrueHeat& heat = group.heat.emplace();
  heat.kelvin_per_watt = told.has_kelvin_per_watt() ? told.kelvin_per_watt() : heat.kelvin_per_watt;
  heat.time_constant_seconds =
      told.has_time_constant() ? told.time_constant() : heat.time_constant_seconds;
  heat.air = told.has_air_celsius() ? Celsius(told.air_celsius()) : heat.air;
  heat.air_swing_kelvin = told.air_swing_kelvin();
  if (told.has_throttle_celsius()) {
    const double least = heat.air.value() + heat.air_swing_kelvin +
                         heat.kelvin_per_watt * group.board_class.idle.value();
    if (told.throttle_celsius() <= least) {
      return part.Wrong(
          "throttle_celsius",
          absl::StrFormat("more than the %.0f °C of an idle board on a warm day", least));
    }
    heat.throttle = Celsius(told.throttle_celsius());
  }
  return absl::OkStatus();
}

// Adds hours without a rate as cuts.
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
absl::Status ReadLink(const std::string& link, const FilePart& part, const ReadFile& read,
                      Scenario& scenario, BoardGroup& group) {
  if (!absl::EndsWith(link, ".csv")) {
    double mbit = 0.0;
    if (!absl::SimpleAtod(link, &mbit) || !(mbit >= 0.01 && mbit <= 1e5)) {
      return part.Wrong("link_mbit", "0.01 to 100000 Mbit/s, or a CSV hour,mbit: link.csv");
    }
    group.link_bytes_per_second = kBytesPerMegabit * mbit;
    return absl::OkStatus();
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string text, read(link));
  WATTLE_ASSIGN_OR_RETURN(group.link_by_hour, ParseLink(text, link));
  const size_t hours = group.link_by_hour.size();
  const auto wanted = static_cast<size_t>(std::ceil(scenario.duration_seconds / kSecondsOfHour));
  if (hours < wanted && hours % kHoursOfDay != 0) {
    return part.Wrong("link_mbit",
                      absl::StrCat("a file of whole days, which repeat, or of ", wanted,
                                   " hours, for duration; it has ", hours, " hours"));
  }
  for (double& rate : group.link_by_hour) {
    rate *= kBytesPerMegabit;
  }
  AddCuts(group, scenario);
  return absl::OkStatus();
}

absl::StatusOr<BoardGroup> GroupOf(const v1::ScenarioBoards& boards, const FilePart& part,
                                   const ReadFile& read, Scenario& scenario) {
  BoardGroup group;
  WATTLE_ASSIGN_OR_RETURN(group.board_class, ClassOf(boards, part));
  group.name = boards.has_name() ? boards.name() : group.board_class.name;
  WATTLE_RETURN_IF_ERROR(ReadBoards(boards, part, group));
  group.power_mode = boards.power_mode();
  if (boards.has_pack_wh()) {
    group.pack = FromWattHours(boards.pack_wh());
  }
  group.charge = Fraction(boards.charge());
  group.gauge_error = Fraction(boards.gauge_error());
  group.panel = Watts(boards.panel_watts());
  if (group.panel > Watts(0) && !group.pack) {
    return part.Wrong("panel_watts", "a pack_wh beside it: a panel charges a pack");
  }
  WATTLE_RETURN_IF_ERROR(ReadLink(boards.link_mbit(), part, read, scenario, group));
  if (boards.has_heat()) {
    WATTLE_RETURN_IF_ERROR(ReadHeat(boards.heat(), part.Of("heat"), group));
  }
  WATTLE_RETURN_IF_ERROR(ReadLabels(boards, part, group));
  WATTLE_RETURN_IF_ERROR(ReadPolicy(boards, part, group));
  return group;
}

absl::Status CheckBoardNames(const FilePart& top, const Scenario& scenario) {
  std::set<std::string> boards;
  for (const BoardGroup& group : scenario.fleet) {
    for (int number = 1; number <= group.count; ++number) {
      if (!boards.insert(group.BoardName(number)).second) {
        return top.ErrorAt("fleet", absl::StrCat("fleet: \"", group.BoardName(number),
                                                 "\" names two boards; wanted another"));
      }
    }
  }
  return boards.empty() || boards.size() > kBoardsMax
             ? top.ErrorAt("fleet", absl::StrCat("fleet: ", boards.size(), " boards; wanted 1 to ",
                                                 kBoardsMax))
             : absl::OkStatus();
}

}  // namespace

absl::Status ReadFleet(const v1::ScenarioFile& file, const FilePart& top, const ReadFile& read,
                       Scenario& scenario) {
  std::set<std::string> names;
  for (int i = 0; i < file.fleet_size(); ++i) {
    const FilePart part = top.Of("fleet", i);
    WATTLE_ASSIGN_OR_RETURN(BoardGroup group, GroupOf(file.fleet(i), part, read, scenario));
    if (!names.insert(group.name).second) {
      return part.Error(
          absl::StrCat("fleet.name: \"", group.name, "\" names two groups; wanted another"));
    }
    scenario.fleet.push_back(std::move(group));
  }
  return CheckBoardNames(top, scenario);
}

// Policies of the fleet, which select boards by their labels.
absl::Status ReadFleetPolicies(const v1::ScenarioFile& file, const FilePart& top,
                               Scenario& scenario) {
  std::set<std::string> names;
  for (const BoardGroup& group : scenario.fleet) {
    names.insert(group.policy ? group.name : "");  // The name of its own policy.
  }
  for (int i = 0; i < file.fleet_policies_size(); ++i) {
    const v1::Policy& policy = scenario.fleet_policies.emplace_back(file.fleet_policies(i));
    const std::string place = top.Of("fleet_policies", i).Place();
    WATTLE_RETURN_IF_ERROR(RefusePlace(policy, place, "fleet_policies"));
    if (const absl::Status valid = core::ValidatePolicy(policy); !valid.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(place, "fleet_policies: ", valid.message()));
    }
    if (!names.insert(policy.name()).second) {
      return absl::InvalidArgumentError(absl::StrCat(place, "fleet_policies.name: \"",
                                                     policy.name(),
                                                     "\" names two policies; wanted another"));
    }
  }
  return absl::OkStatus();
}

namespace {

// Values that the groups of a shared pack give for it, each with the first group that gave it.
struct ToldPack {
  const BoardGroup* first = nullptr;
  const BoardGroup* with_panel = nullptr;
};

std::string WattHoursText(const BoardGroup& group) {
  return group.pack ? absl::StrFormat("%g", ToWattHours(*group.pack)) : "";
}

// The field that contradicts the values of the pack's other groups; "" if none does.
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

absl::Status CheckOnePowerGroup(const Scenario& scenario, const BoardGroup& group,
                                const FilePart& part) {
  const v1::Policy* first = nullptr;
  for (const v1::Policy* const policy : PoliciesOf(scenario, group)) {
    if (!policy->has_power_group()) {
      continue;
    }
    first = first == nullptr ? policy : first;
    if (policy->power_group().name() != first->power_group().name()) {
      return part.Error(absl::StrCat("fleet: group ", group.name, " would be in two power groups, ",
                                     first->power_group().name(), " (policy ", first->name(),
                                     ") and ", policy->power_group().name(), " (policy ",
                                     policy->name(), "); wanted one, so change a selector"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPowerGroups(const FilePart& top, const Scenario& scenario) {
  for (size_t i = 0; i < scenario.fleet.size(); ++i) {
    WATTLE_RETURN_IF_ERROR(
        CheckOnePowerGroup(scenario, scenario.fleet[i], top.Of("fleet", static_cast<int>(i))));
  }
  std::map<std::string, ToldPack> packs;
  for (size_t i = 0; i < scenario.fleet.size(); ++i) {
    const BoardGroup& group = scenario.fleet[i];
    const std::string name = SharedPackOf(scenario, group);
    if (name.empty()) {
      continue;
    }
    const std::string place = top.Of("fleet", static_cast<int>(i)).Place();
    if (!group.pack) {
      return absl::InvalidArgumentError(absl::StrCat(place, "fleet.pack_wh: missing; group ",
                                                     group.name, " shares pack ", name,
                                                     ", so wanted the whole pack's"));
    }
    ToldPack& told = packs[name];
    told.first = told.first == nullptr ? &group : told.first;
    if (told.with_panel == nullptr && group.panel > Watts(0)) {
      told.with_panel = &group;
    }
    if (const std::string contradiction = ContradictionOf(group, told); !contradiction.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, contradiction, " of pack ", name, ", which they share"));
    }
  }
  return absl::OkStatus();
}

}  // namespace wattle::sim
