// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/place/device/objective.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

// If no policy says otherwise, a job waits an hour for a device that saves more than 1 % of its
// joules.
constexpr double kPatienceRatioPerHourUnsaid = 0.01;

constexpr ObjectiveRow kObjectives[] = {
    // The fewest marginal joules.
    {v1::OBJECTIVE_ENERGY, [](const RunStart& run, double) { return run.marginal_joules; },
     /*waiting_costs_extra=*/true, [](double cost) { return FormatEnergy(Joules(cost)); },
     [](double, double net_joules) { return net_joules; }, "J"},
    // The earliest completion in wall time. The time since the submission is the same on every
    // device and is left out.
    {v1::OBJECTIVE_TIME, [](const RunStart& run, double) { return run.finish_in_seconds; },
     /*waiting_costs_extra=*/false, [](double cost) { return FormatElapsed(absl::Seconds(cost)); },
     [](double seconds, double) { return seconds; }, "s"},
    // Marginal joules × delay. The delay is the wall time from the submission to the completion.
    {v1::OBJECTIVE_EDP,
     [](const RunStart& run, double waited_seconds) {
       return run.marginal_joules * (waited_seconds + run.finish_in_seconds);
     },
     /*waiting_costs_extra=*/false,
     [](double cost) { return absl::StrCat(FormatEnergy(Joules(cost)), " x s"); },
     [](double seconds, double net_joules) { return seconds * net_joules; }, "J x s"},
};

}  // namespace

const ObjectiveRow& ObjectiveOf(v1::Objective objective) {
  for (const ObjectiveRow& row : kObjectives) {
    if (row.objective == objective) {
      return row;
    }
  }
  return kObjectives[0];
}

double PatienceRatioPerHour(const policy::Limits& limits) {
  return limits.patience_ratio_per_hour.value_or(kPatienceRatioPerHourUnsaid);
}

double CostOf(const ObjectiveRow& objective, const RunStart& run, double waited_seconds,
              double patience_ratio_per_hour) {
  const double amount = objective.amount(run, waited_seconds);
  // The time since the submission is the same on every device and is left out. A rest counts as
  // waiting.
  const double waits = run.start_in_seconds + run.rest_seconds;
  return objective.waiting_costs_extra ? amount * (1 + patience_ratio_per_hour * waits / 3600)
                                       : amount;
}

}  // namespace wattle::scheduler
