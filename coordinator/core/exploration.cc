// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/exploration.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/fault_point.h"
#include "coordinator/core/probing.h"
#include "coordinator/core/profiling.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/profiles/probe.h"

namespace wattle::core {
namespace {

// Share of a day's joules if no policy sets one.
constexpr double kExplorationRatio = 0.02;
// For a board with unknown idle draw: the predictor's watts of such a board over its ratio of load
// to idle.
constexpr double kIdleWattsUnknown = 4;
constexpr double kDaySeconds = 86400;

int64_t DayOf(double unix_seconds) {
  return static_cast<int64_t>(std::floor(unix_seconds / kDaySeconds));
}

// The exploration of an attempt that is live or ended today.
Joules ExploredBy(const State& state, const v1::JobSpec& spec, const v1::Attempt& attempt) {
  const v1::Receipt& receipt = attempt.receipt();
  const Joules drawn(receipt.total().gross_energy_joules());
  if (IsProfile(spec)) {
    return spec.energy_budget_wh() > 0 ? Joules(0) : drawn;
  }
  if (!scheduler::IsWide(attempt.prediction()) || attempt.state() == v1::ATTEMPT_STATE_FINISHED ||
      WATTLE_FAULT_POINT("probe's joules")) {
    return Joules(0);
  }
  const bool leaves = attempt.released() && attempt.released_for_job_id().empty();
  if (!leaves && (receipt.has_probed_run_seconds() || ProbeOf(state, attempt) != nullptr)) {
    return Joules(0);
  }
  return receipt.has_total() ? drawn : scheduler::ProbeDemand(attempt.prediction());
}

void Add(const State& state, int64_t job_number, int64_t today,
         std::map<std::string, DeviceDay>& days) {
  const v1::Job& job = state.jobs.at(job_number).job();
  for (const v1::Attempt& attempt : job.attempts()) {
    const bool live = !IsTerminal(attempt.state());
    const int64_t day = live ? today : DayOf(attempt.finished_unix_seconds());
    if (day == today) {
      const Joules explored = ExploredBy(state, job.spec(), attempt);
      if (explored.value() > 0) {
        days[attempt.device_id()].explored_today += explored;
      }
    } else if (day == today - 1 && !IsProfile(job.spec())) {
      DeviceDay& of = days[attempt.device_id()];
      of.worked_yesterday += Joules(attempt.receipt().total().gross_energy_joules());
      of.busy_yesterday += absl::Seconds(attempt.receipt().total().seconds());
    }
  }
}

Watts IdleOf(const v1::Device& device) {
  for (const double watts :
       {device.heartbeat().idle_power_watts(), device.info().idle_power_watts()}) {
    if (watts > 0) {
      return Watts(watts);
    }
  }
  return Watts(kIdleWattsUnknown);
}

}  // namespace

std::map<std::string, DeviceDay> DeviceDays(const State& state, absl::Time now) {
  const int64_t today = DayOf(ToUnix(now));
  std::map<std::string, DeviceDay> days;
  for (const int64_t number : state.open_jobs) {
    Add(state, number, today, days);
  }
  const double yesterday_unix_seconds = static_cast<double>(today - 1) * kDaySeconds;
  for (auto ended = state.ended_jobs.lower_bound({yesterday_unix_seconds, 0});
       ended != state.ended_jobs.end(); ++ended) {
    Add(state, ended->second, today, days);
  }
  return days;
}

scheduler::ExplorationBudget ExplorationOf(const std::vector<v1::Policy>& policies,
                                           const v1::Device& device, const DeviceDay& day,
                                           absl::Time now) {
  const double ratio =
      scheduler::LimitsFor(policies, device.info()).exploration_ratio.value_or(kExplorationRatio);
  const double scale = device.info().time_scale() > 0 ? device.info().time_scale() : 1;
  const absl::Duration idle =
      std::max(absl::ZeroDuration(), absl::Seconds(kDaySeconds / scale) - day.busy_yesterday);
  scheduler::ExplorationBudget budget;
  budget.per_day = ratio * (day.worked_yesterday + IdleOf(device) * idle);
  budget.left = std::max(Joules(0), budget.per_day - day.explored_today);
  budget.day_ends = FromUnix(static_cast<double>(DayOf(ToUnix(now)) + 1) * kDaySeconds);
  return budget;
}

scheduler::ExplorationBudget ExplorationOf(const State& state, const v1::Device& device,
                                           absl::Time now) {
  std::vector<v1::Policy> policies;
  for (const auto& [name, policy] : state.policies) {
    policies.push_back(policy);
  }
  return ExplorationOf(policies, device, DeviceDays(state, now)[device.info().device_id()], now);
}

bool PlannedExploring::Fits(const v1::JobSpec& spec, const scheduler::QueuePlacement& planned) {
  const bool profiles = IsProfile(spec) && spec.energy_budget_wh() <= 0;
  const bool probes =
      !IsProfile(spec) && planned.placement.best_size() > 0 && planned.placement.best(0).probe();
  if (!profiles && !probes) {
    return true;
  }
  const std::string& device = planned.placement.device_id();
  const Joules demand =
      profiles ? planned.profile_demand : scheduler::ProbeDemand(planned.prediction);
  const Joules left =
      ExplorationOf(state_, DescribeDevice(state_, observations_, DeviceId(device), now_),
                    now_.wall)
          .left;
  if (explored_[device] + demand > left) {
    return false;
  }
  explored_[device] += demand;
  return true;
}

}  // namespace wattle::core
