// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds policies of a scenario that contradict one another or their boards, so that no job could
// ever run.
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

#include "base/status_macros.h"
#include "policy/limits.h"
#include "policy/schedule.h"
#include "sim/scenario/drawn_boards.h"
#include "sim/scenario/scenario_parts_internal.h"

namespace wattle::sim {
namespace {

absl::Status CheckWindows(const std::string& place, const BoardGroup& group,
                          const policy::Limits& limits) {
  const absl::Time any = absl::UnixEpoch();
  if (policy::OpensAt(limits.windows, any) == absl::InfiniteFuture()) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, "fleet group ", group.name,
                     ": no job ever runs on it: ", policy::DescribeNeverOpen(limits.windows, any)));
  }
  return absl::OkStatus();
}

absl::Status CheckReserve(const std::string& place, const BoardGroup& group,
                          const policy::Limits& limits) {
  if (!group.pack || !limits.reserve) {
    return absl::OkStatus();
  }
  const double reserve = limits.reserve->state_of_charge.value();
  if (reserve + group.gauge_error.value() >= 1.0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%sfleet group %s: a reserve of %g (policy %s) with a gauge that may be %g wrong leaves no "
        "charge for work; wanted less than 1 together",
        place, group.name, reserve, limits.reserve->policy, group.gauge_error.value()));
  }
  return absl::OkStatus();
}

// The boards of one power group.
struct Supply {
  std::string place;
  std::string policy;
  double cap_watts = 0;
  double idle_watts = 0;
  std::vector<std::string> boards;
};

absl::Status CheckCaps(const std::map<std::string, Supply>& supplies) {
  for (const auto& [name, supply] : supplies) {
    if (supply.cap_watts > 0 && supply.idle_watts >= supply.cap_watts) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "%spower_group.power_cap_watts: \"%g\" (policy %s); wanted more than the %g W that the "
          "boards of power group %s draw without work (%s)",
          supply.place, supply.cap_watts, supply.policy, supply.idle_watts, name,
          absl::StrJoin(supply.boards, ", ")));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPoliciesLetWork(const FilePart& top, const Scenario& scenario) {
  std::map<std::string, Supply> supplies;
  for (size_t i = 0; i < scenario.fleet.size(); ++i) {
    const BoardGroup& group = scenario.fleet[i];
    const policy::Limits limits = policy::LimitsOf(PoliciesOf(scenario, group));
    const std::string place = top.Of("fleet", static_cast<int>(i)).Place();
    WATTLE_RETURN_IF_ERROR(CheckWindows(place, group, limits));
    WATTLE_RETURN_IF_ERROR(CheckReserve(place, group, limits));
    if (!limits.power_group) {
      continue;
    }
    Supply& supply = supplies[limits.power_group->name];
    const double idle = group.board_class.idle.value();
    supply.idle_watts += group.count * idle;
    supply.boards.push_back(absl::StrFormat("%s %d x %g W", group.name, group.count, idle));
    if (limits.power_group->cap) {
      const double cap = limits.power_group->cap->value();
      if (supply.cap_watts <= 0 || cap < supply.cap_watts) {
        supply.place = place;
        supply.policy = limits.power_group->policy;
        supply.cap_watts = cap;
      }
    }
  }
  return CheckCaps(supplies);
}

}  // namespace wattle::sim
