// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A probe starts only while the device has exploration budget left for the day in which the probe
// would start. The run of a profile job has its own budget (coordinator/core/profiling.h).
#include "absl/strings/str_cat.h"

#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

bool IsOfToday(const DeviceEvaluation& on) {
  return on.start() < on.device.exploration.day_ends;
}

std::optional<Refusal> CheckExploration(const DeviceEvaluation& on) {
  const ExplorationBudget& budget = on.device.exploration;
  const Joules demand = ProbeDemand(on.prediction);
  const bool today = IsOfToday(on);
  const Joules left = today ? budget.left : budget.per_day;
  if (!on.probes || on.job.profile_point.has_value() || demand <= left) {
    return std::nullopt;
  }
  return Refuse(on, [&] {
    return absl::StrCat(
        "nobody knows yet how long it takes here, and a probe would draw ", FormatEnergy(demand),
        "; exploring may draw ", FormatEnergy(left),
        today ? " more of this device today" : " a day", "; feasible ",
        today && demand <= budget.per_day
            ? absl::StrCat("in ", FormatElapsed(budget.day_ends - on.snapshot.now), ", or ")
            : "",
        "with a policy that lets exploring draw more");
  });
}

std::optional<absl::Time> NextDay(const DeviceEvaluation& on) {
  const ExplorationBudget& budget = on.device.exploration;
  return IsOfToday(on) && ProbeDemand(on.prediction) <= budget.per_day
             ? std::optional(budget.day_ends)
             : std::nullopt;
}

}  // namespace

extern const Rule kExplorationRule = {"exploration", RuleScope::kLoad, CheckExploration, NextDay,
                                      "it has explored enough for the day"};

}  // namespace wattle::scheduler
