// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/energy_budget.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

#include "coordinator/core/draft_internal.h"
#include "coordinator/core/profiling.h"
#include "units/format.h"
#include "units/id.h"

namespace wattle::core {

Joules SpentEnergy(const v1::Job& job) {
  Joules spent(0);
  for (const v1::Attempt& attempt : job.attempts()) {
    spent += Joules(attempt.receipt().total().gross_energy_joules());
  }
  return spent;
}

Joules SpentSoFar(const Observations& observations, const v1::Job& job) {
  const Joules ended = SpentEnergy(job);
  const v1::Attempt* const live = LiveAttempt(job);
  if (live == nullptr) {
    return ended;
  }
  const auto progress = observations.progress.find(AttemptId(live->attempt_id()));
  return progress == observations.progress.end() ? ended
                                                 : ended + Joules(progress->second.energy_joules());
}

void EndOverBudget(Draft& draft, const v1::Job& job, const v1::Attempt& live) {
  const Joules budget = FromWattHours(job.spec().energy_budget_wh());
  const auto progress = draft.observations().progress.find(AttemptId(live.attempt_id()));
  if (budget.value() <= 0 || progress == draft.observations().progress.end()) {
    return;
  }
  const Joules spent = SpentSoFar(draft.observations(), job);
  if (spent < budget) {
    return;
  }
  const std::string reason =
      absl::StrCat("its energy budget of ", FormatEnergy(budget), " is spent: its attempts drew ",
                   FormatEnergy(spent), "; submit again with a larger energy_budget_wh");
  const bool measured =
      IsProfile(job.spec()) &&
      std::any_of(job.attempts().begin(), job.attempts().end(), [](const v1::Attempt& attempt) {
        return attempt.state() == v1::ATTEMPT_STATE_FINISHED;
      });
  draft.FailAttempt(live, reason);
  draft.EndJob(job, measured ? v1::JOB_STATE_SUCCEEDED : v1::JOB_STATE_FAILED, reason, "");
}

}  // namespace wattle::core
