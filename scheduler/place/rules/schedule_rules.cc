// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Daily windows and the daily energy budget: no job starts if the device's own guard would stop it
// at once. The predicted end includes the pauses of a run (policy::FinishUnder).
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "policy/held_back.h"
#include "policy/schedule.h"
#include "scheduler/place/device/work_times.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

// Time for which a run must be able to continue, so that its guard does not stop it at once.
absl::Duration ShortestRun(const DeviceEvaluation& on) {
  return on.prediction.time_scale() *
         policy::StopLead(policy::PredictedStop(on.steps, on.prediction));
}

// what: the condition that is never met.
Refusal NeverOpen(const DeviceEvaluation& on, absl::string_view what,
                  const std::vector<policy::WindowLimit>& windows, absl::Time now) {
  return Refuse(
      on, [&] { return absl::StrCat(what, ": ", policy::DescribeNeverOpen(windows, now)); }, true);
}

// Refuses a device that is never free again, so that a job after its work has no start. limit:
// writes the policy's limit, whose pauses keep that work from ending.
template <typename Limit>
std::optional<Refusal> BehindWorkWithoutEnd(const DeviceEvaluation& on, const Limit& limit) {
  if (on.start_in_seconds < absl::ToDoubleSeconds(kNeverEnds)) {
    return std::nullopt;
  }
  return Refuse(on, [&] {
    return absl::StrCat("the work that it has does not end in years under ", limit(),
                        "; feasible once that work has ended, or with another policy");
  });
}

std::optional<Refusal> CheckWorkWindows(const DeviceEvaluation& on) {
  const policy::Limits& limits = on.limits;
  if (limits.windows.empty()) {
    return std::nullopt;
  }
  const policy::WindowLimit& first = limits.windows.front();
  const auto rule = [&] {
    return absl::StrCat("work may run ", policy::Describe(first), " (policy ", first.policy,
                        limits.windows.size() > 1 ? " and others)" : ")");
  };
  const absl::Time start = on.start();
  const absl::Time opens = on.windows.OpensAt(start);
  if (opens == absl::InfiniteFuture()) {
    return NeverOpen(on, "work may never run", limits.windows, start);
  }
  if (auto refusal = BehindWorkWithoutEnd(on, [&] {
        return absl::StrCat(policy::Describe(first), " (policy ", first.policy, ")");
      })) {
    return refusal;
  }
  if (opens > start) {
    return Refuse(on, [&] {
      return absl::StrCat(rule(), "; feasible in ", FormatElapsed(opens - on.snapshot.now));
    });
  }
  const absl::Time closes = on.windows.ClosesAt(start);
  if (closes < absl::InfiniteFuture() && closes <= start + ShortestRun(on)) {
    return Refuse(on, [&] {
      return absl::StrCat(rule(), ", and the window closes; feasible in the next one");
    });
  }
  return std::nullopt;
}

std::optional<absl::Time> WindowOpens(const DeviceEvaluation& on) {
  const absl::Time opens = on.windows.OpensAt(on.start());
  if (opens > on.start()) {
    return opens;
  }
  return on.windows.OpensAt(on.windows.ClosesAt(on.start()));
}

// Windows of the link limit files, not work: the times of fetch and upload include them. But a
// transfer is work for its worker, so it needs both windows open.
std::optional<Refusal> CheckLinkWindows(const DeviceEvaluation& on) {
  const bool needs_link = on.prediction.fetch_bytes() + on.prediction.upload_bytes() > 0;
  if (on.limits.link_windows.empty() || !needs_link) {
    return std::nullopt;
  }
  std::vector<policy::WindowLimit> windows = on.limits.link_windows;
  windows.insert(windows.end(), on.limits.windows.begin(), on.limits.windows.end());
  const absl::Time now = on.snapshot.now;
  return policy::OpensAt(windows, now) == absl::InfiniteFuture()
             ? std::make_optional(NeverOpen(on, "artifacts may never come or leave", windows, now))
             : std::nullopt;
}

std::optional<Refusal> CheckDailyBudget(const DeviceEvaluation& on) {
  const policy::Limits& limits = on.limits;
  if (!limits.budget) {
    return std::nullopt;
  }
  const policy::BudgetLimit& budget = *limits.budget;
  const Joules held_back = policy::HeldBack(policy::PredictedStop(on.steps, on.prediction));
  if (held_back >= budget.per_day) {
    return Refuse(
        on,
        [&] {
          return absl::StrCat(
              "its budget of ", FormatEnergy(budget.per_day), " a day (policy ", budget.policy,
              ") is less than the ", FormatEnergy(held_back),
              " that its guard holds back to stop the job in time; feasible with a larger budget");
        },
        true);
  }
  if (auto refusal = BehindWorkWithoutEnd(on, [&] {
        return absl::StrCat("its budget of ", FormatEnergy(budget.per_day), " a day (policy ",
                            budget.policy, ")");
      })) {
    return refusal;
  }
  const absl::Time start = on.start();
  const Joules spent = BudgetSpent(*on.load, start);
  if (spent + held_back < budget.per_day) {
    return std::nullopt;
  }
  return Refuse(on, [&] {
    return absl::StrCat("work has drawn or is promised ", FormatEnergy(spent), " of the day's ",
                        FormatEnergy(budget.per_day), " (policy ", budget.policy, "); feasible in ",
                        FormatElapsed(policy::DayEnds(budget, start) - on.snapshot.now));
  });
}

std::optional<absl::Time> DayOfBudgetEnds(const DeviceEvaluation& on) {
  const policy::Limits& limits = on.limits;
  return policy::DayEnds(*limits.budget, on.start());
}

}  // namespace

extern const Rule kWorkWindowsRule = {"work_windows", RuleScope::kLoad, CheckWorkWindows,
                                      WindowOpens, "its work window is closed"};
extern const Rule kLinkWindowsRule = {"link_windows", RuleScope::kMode, CheckLinkWindows};
extern const Rule kDailyBudgetRule = {"daily_energy_budget", RuleScope::kLoad, CheckDailyBudget,
                                      DayOfBudgetEnds, "its budget of the day is spent"};

}  // namespace wattle::scheduler
