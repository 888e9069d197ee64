// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/policy_watch.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"

namespace wattle::sim {
namespace {

// The guard accepts a jump of the gauge after 20 s (telemetry/battery/guard.h), and a silent gauge
// for 30 s (policy/held_back.h). Then the runner has its stop time, in which it ends a step and
// writes a checkpoint.
constexpr double kGraceSteps = 6.0;
constexpr double kGraceSeconds = 75.0;
// The worker's measured idle power may be this much below the true one.
constexpr double kIdleTolerance = 0.99;
// A stop of the process loses at most this much of the day's count: agent::kSavePeriod, and the
// second in which the save falls.
constexpr double kSaveSeconds = 51.0;
// After 24 hours the worker accepts that its clock was ahead (agent_core_limits.cc), and begins a
// new count. From the third day on its day is correct.
constexpr int64_t kDaysUntilClockIsBelieved = 3;

// Charge that a stuck gauge hides before it is found (telemetry/sensors/stuck.cc), and the time for
// which its last reading still counts.
constexpr double kStuckShare = 0.016;
constexpr double kStuckSeconds = 45.0;
// The worker ignores longer gaps between two readings (kChargeGapMax in the same file).
constexpr double kGapSecondsMax = 120.0;

double GraceSeconds(const WatchMoment& moment) {
  return kGraceSteps * moment.step_seconds + kGraceSeconds;
}

}  // namespace

bool PolicyWatch::SetPolicies(const v1::DesiredSet& desired, double now_seconds) {
  std::string policies;
  std::vector<const v1::Policy*> selected;
  for (const v1::Policy& policy : desired.policies()) {
    selected.push_back(&policy);
    absl::StrAppend(&policies, policy.SerializeAsString(), "\n");
  }
  if (policies == policies_) {
    return false;
  }
  const bool had_budget = limits_.budget.has_value();
  policies_ = policies;
  limits_ = policy::LimitsOf(selected);
  disturbed_seconds_ = now_seconds;
  if (!had_budget) {
    // The worker counts only while there is a budget.
    spent_ = Joules(0);
    stops_ = 0;
    spent_is_kept_ = true;
  }
  return true;
}

void PolicyWatch::ProcessStarted(double now_seconds) {
  disturbed_seconds_ = now_seconds;
  ++stops_;
  ++stuck_starts_;
}

void PolicyWatch::CountBudget(const Board& board, const WatchMoment& moment) {
  const Joules drawn = board.work_energy() - counted_;
  counted_ = board.work_energy();
  if (!limits_.budget) {
    return;
  }
  const int64_t day = policy::DayOf(*limits_.budget, moment.civil);
  if (!moment.clock_is_right) {
    distrusted_until_day_ = day + kDaysUntilClockIsBelieved;
  }
  if (day != day_) {
    day_ = day;
    spent_ = Joules(0);
    stops_ = 0;
    spent_is_kept_ = true;
  }
  spent_ += drawn;
}

std::string PolicyWatch::CheckCharge(const Board& board, const WatchMoment& moment) const {
  if (!board.has_battery()) {
    return "";
  }
  policy::Limits limits = limits_;
  if (moment.now_seconds - clock_disturbed_seconds_ <= GraceSeconds(moment)) {
    limits.alive.clear();
  }
  const auto floor = policy::ChargeFloor(
      limits, moment.civil, board.settings().idle * kIdleTolerance, board.settings().battery);
  double error = board.settings().gauge_error.value();
  if (moment.now_seconds - stuck_seconds_ <= GraceSeconds(moment)) {
    const Joules drawn = board.settings().work * absl::Seconds(kStuckSeconds);
    error += (1 + stuck_starts_) * (kStuckShare + drawn / *board.settings().battery);
    error += unseen_share_;
  }
  if (!floor || board.charge().value() >= floor->state_of_charge.value() - error) {
    return "";
  }
  return absl::StrCat("works at a true charge of ", board.charge().value(), ", policy ",
                      floor->policy, " asks for ", floor->state_of_charge.value(),
                      ", the gauge's stated error is ", error);
}

std::string PolicyWatch::CheckWindows(const WatchMoment& moment) const {
  for (const double error_seconds : {-moment.time_error_seconds, moment.time_error_seconds}) {
    const absl::Time civil = moment.civil + absl::Seconds(error_seconds);
    if (policy::OpensAt(limits_.windows, civil) <= civil) {
      return "";
    }
  }
  return absl::StrCat("works at ", absl::FormatTime(moment.civil, absl::UTCTimeZone()),
                      ", outside the window of policy ", limits_.windows.front().policy, ": ",
                      policy::Describe(limits_.windows.front()));
}

std::string PolicyWatch::CheckBudget(const Board& board, const WatchMoment& moment) const {
  if (!limits_.budget || !spent_is_kept_ || day_ < distrusted_until_day_) {
    return "";
  }
  const Joules lost =
      board.settings().work *
      absl::Seconds(kSaveSeconds * static_cast<double>(stops_) + 2.0 * moment.time_error_seconds);
  if (spent_ <= limits_.budget->per_day + lost) {
    return "";
  }
  return absl::StrCat("work has drawn ", spent_.value(), " J of this day's ",
                      limits_.budget->per_day.value(), " J (policy ", limits_.budget->policy,
                      "), and goes on");
}

void PolicyWatch::WatchGauge(const Board& board, double now_seconds, double grace_seconds) {
  if (board.sensors.gauge_silent || board.sensors.gauge_says) {
    disturbed_seconds_ = now_seconds;
  }
  const double share = board.has_battery() ? board.charge().value() : 0.0;
  if (board.sensors.gauge_stuck) {
    stuck_seconds_ = now_seconds;
    if (now_seconds - checked_seconds_ > kGapSecondsMax) {
      unseen_share_ += std::max(0.0, checked_share_ - share);
    }
  } else if (now_seconds - stuck_seconds_ > grace_seconds) {
    stuck_starts_ = 0;
    unseen_share_ = 0.0;
  }
  checked_seconds_ = now_seconds;
  checked_share_ = share;
}

std::string PolicyWatch::Check(const Board& board, const WatchMoment& moment) {
  const double grace_seconds = GraceSeconds(moment);
  WatchGauge(board, moment.now_seconds, grace_seconds);
  if (board.sensors.rail_is_ill()) {
    spent_is_kept_ = false;  // counted only from the budget on
  }
  if (!moment.clock_is_right) {
    clock_disturbed_seconds_ = moment.now_seconds;
  }
  CountBudget(board, moment);
  if (!board.working() || moment.now_seconds - disturbed_seconds_ <= grace_seconds) {
    return "";
  }
  if (const std::string breach = CheckCharge(board, moment); !breach.empty()) {
    return breach;
  }
  if (const std::string breach = CheckBudget(board, moment); !breach.empty()) {
    return breach;
  }
  return moment.now_seconds - clock_disturbed_seconds_ > grace_seconds ? CheckWindows(moment) : "";
}

}  // namespace wattle::sim
