// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/place/objective.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

constexpr ObjectiveRow kObjectives[] = {
    // The fewest marginal joules. Waiting costs no joules, so a job waits for the better board.
    {v1::OBJECTIVE_ENERGY,
     [](const v1::Candidate& candidate, double) { return candidate.marginal_energy_joules(); },
     /*equal_within_error=*/true, [](double cost) { return FormatEnergy(Joules(cost)); },
     [](double, double net_joules) { return net_joules; }, "J"},
    // The earliest completion in wall time. The time since the submission is the same on every
    // device and is left out.
    {v1::OBJECTIVE_TIME,
     [](const v1::Candidate& candidate, double) { return candidate.finish_in_seconds(); },
     /*equal_within_error=*/false, [](double cost) { return FormatElapsed(absl::Seconds(cost)); },
     [](double seconds, double) { return seconds; }, "s"},
    // Marginal joules × delay. The delay is the wall time from the submission to the completion.
    {v1::OBJECTIVE_EDP,
     [](const v1::Candidate& candidate, double waited_seconds) {
       return candidate.marginal_energy_joules() * (waited_seconds + candidate.finish_in_seconds());
     },
     /*equal_within_error=*/false,
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

}  // namespace wattle::scheduler
