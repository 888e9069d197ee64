// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Requires that the mean of the run, with everything around it, fits into the rest of the job's
// energy budget.
#include "absl/strings/str_cat.h"

#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

std::optional<Refusal> CheckEnergyBudget(const DeviceEvaluation& on) {
  const Joules budget = FromWattHours(on.job.spec.energy_budget_wh());
  if (budget.value() <= 0) {
    return std::nullopt;
  }
  const Joules demand =
      GrossDemand(on.prediction, Joules(on.prediction.run_energy_joules().mean()));
  if (on.job.spent + demand <= budget) {
    return std::nullopt;
  }
  // The fetch is omitted if the files are already there, so only the run makes a refusal permanent.
  const bool permanent = on.job.spent + Joules(on.prediction.run_energy_joules().mean()) > budget;
  return Refuse(
      on,
      [&] {
        return absl::StrCat("would draw ", FormatEnergy(demand),
                            on.job.spent.value() > 0
                                ? absl::StrCat(" more, after ", FormatEnergy(on.job.spent))
                                : "",
                            ", the job's energy budget is ", FormatEnergy(budget),
                            "; feasible with a budget of ", FormatEnergy(on.job.spent + demand));
      },
      permanent);
}

}  // namespace

extern const Rule kEnergyBudgetRule = {"energy_budget", RuleScope::kMode, CheckEnergyBudget};

}  // namespace wattle::scheduler
