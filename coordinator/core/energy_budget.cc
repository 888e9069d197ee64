// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/energy_budget.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/exploration.h"
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

namespace {

// Why the attempt has drawn enough; empty: it may go on. A first prediction may be far too fast, so
// a run of a profile job without a budget of its own is also bounded while it runs.
std::string WhyEnough(const DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& live,
                      Joules of_attempt) {
  const Joules budget = FromWattHours(job.spec().energy_budget_wh());
  if (budget.value() > 0) {
    const Joules spent = SpentSoFar(builder.observations(), job);
    return spent < budget ? ""
                          : absl::StrCat("its energy budget of ", FormatEnergy(budget),
                                         " is spent: its attempts drew ", FormatEnergy(spent),
                                         "; submit again with a larger energy_budget_wh");
  }
  if (!IsProfile(job.spec()) ||
      FindDevice(builder.state(), DeviceId(live.device_id())) == nullptr) {
    return "";
  }
  const v1::Device device = DescribeDevice(builder.state(), builder.observations(),
                                           DeviceId(live.device_id()), builder.now());
  const Joules left = ExplorationOf(builder.state(), device, builder.now().wall).left;
  return of_attempt < left
             ? ""
             : absl::StrCat("its run drew ", FormatEnergy(of_attempt), ", and exploring may draw ",
                            FormatEnergy(left), " of ", device.info().name(),
                            " today; submit again with an energy_budget_wh to decide otherwise");
}

}  // namespace

void EndOverBudget(DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& live) {
  const auto progress = builder.observations().progress.find(AttemptId(live.attempt_id()));
  if (progress == builder.observations().progress.end()) {
    return;
  }
  const std::string reason =
      WhyEnough(builder, job, live, Joules(progress->second.energy_joules()));
  if (reason.empty()) {
    return;
  }
  const bool measured =
      IsProfile(job.spec()) &&
      std::any_of(job.attempts().begin(), job.attempts().end(), [](const v1::Attempt& attempt) {
        return attempt.state() == v1::ATTEMPT_STATE_FINISHED;
      });
  builder.FailAttempt(live, reason);
  builder.EndJob(job, measured ? v1::JOB_STATE_SUCCEEDED : v1::JOB_STATE_FAILED, reason, "");
}

}  // namespace wattle::core
