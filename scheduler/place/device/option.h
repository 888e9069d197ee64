// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The planner's data about a job on a device, for ranking: plain numbers, and indices instead of
// names. Message and sentences (v1::Candidate) are made only for what is shown, in
// show_candidate.cc. Plain values.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_OPTION_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_OPTION_H_

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// A run in a plan.
struct RunStart {
  size_t device = 0;  // In Snapshot::devices.
  double start_in_seconds = 0;
  double finish_in_seconds = 0;
  double marginal_joules = 0;
  double rest_seconds = 0;  // Rests of the run at the reserve of its device.
};

// The verdict of the rules about a start.
struct Verdict {
  enum class Answer { kOk, kNotNow, kNever };
  static constexpr size_t kNoRule = std::numeric_limits<size_t>::max();

  [[nodiscard]] bool ok() const { return answer == Answer::kOk; }
  // Waiting does not help.
  [[nodiscard]] bool permanent() const { return answer == Answer::kNever; }

  Answer answer = Answer::kNotNow;
  size_t rule = kNoRule;  // Index in Rules() of the refusing rule. kNoRule: no rule was evaluated.
};

// A job on a device in one of its modes, from one start.
struct Option {
  [[nodiscard]] bool feasible() const { return verdict.ok(); }
  // Ranks options: by cost, but a tight start by its end.
  [[nodiscard]] double rank() const { return tight ? run.finish_in_seconds : cost; }

  RunStart run;
  size_t mode = 0;                     // Among the modes in which the device may run the job.
  double finish_in_seconds_upper = 0;  // Wall, at the run's upper quantile.
  double cost = 0;                     // By the job's objective.
  // For the run from this start; the mode's own if the start changes nothing. Null: the device was
  // not evaluated.
  std::shared_ptr<const v1::Prediction> prediction = nullptr;
  Verdict verdict = {};
  bool probe = false;  // A rule allows only the run's lower end.
  bool tight = false;  // The start is dangerously late for the job's deadline.
  // Standard deviation of the logarithm of the cost; 0 if the objective compares costs exactly.
  double deviation = 0;
  // The rule that refuses the device now and whose end allows the start; nullopt: none.
  std::optional<size_t> waits_for_rule = std::nullopt;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_OPTION_H_
