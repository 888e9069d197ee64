// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rules that refuse a device for a job, with a reason that a person can act on. To add one: the
// function and the Rule beside it, in the file of its subject; its name in the list in rules.cc;
// a case in rule_test.cc. Thread-safe: rules have no state.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_RULE_H_
#define WATTLE_SCHEDULER_PLACE_RULES_RULE_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "policy/held_back.h"
#include "policy/limits.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/device/device_mode.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Which end of a run must meet the job's deadline. The mean decides where no device meets the
// deadline at the upper quantile: a start that is expected to be in time beats none.
enum class DeadlineBy { kUpperQuantile, kMean };

// One device that is evaluated for one job at the time when the job could start there. For a rule
// of the scope kDevice or kMode the fields of the load are empty, for one of the scope kDevice also
// mode and prediction.
struct DeviceEvaluation {
  // When the run would start.
  [[nodiscard]] absl::Time start() const { return snapshot.now + absl::Seconds(start_in_seconds); }

  const Snapshot& snapshot;
  const JobView& job;
  const DeviceView& device;
  const policy::Limits& limits;      // Of the device, by the snapshot's policies.
  const policy::OpenTimes& windows;  // Of the limits, for work.
  const v1::Prediction& prediction;
  // Likewise on a free board that stays cool and whose link carries at once; null: as `prediction`.
  const v1::Prediction* alone = nullptr;
  bool dry_run = false;    // `wattle plan`: files may be declared instead of named.
  const DeviceMode& mode;  // In which the device would run the job.
  // A refusal is to say why. The planner asks for verdicts alone, and for the reasons of what is
  // shown.
  bool explains = false;
  // The load.
  double start_in_seconds = 0;  // Wall.
  double finish_in_seconds_upper =
      0;                              // Wall, at the run's upper quantile; of a probe at its lower.
  double finish_in_seconds_mean = 0;  // Wall.
  DeadlineBy deadline_by = DeadlineBy::kUpperQuantile;
  // The rule is asked whether a start could do, for a prediction too wide to be planned on: what is
  // above stands for the lower end.
  bool probes = false;
  policy::SpecSteps steps{};         // As the job's spec has them.
  const DeviceLoad* load = nullptr;  // What the device has to do already, this plan's included.
};

struct Refusal {
  // With the numbers, and the change that would make the device feasible. Empty: not asked for.
  std::string reason;
  bool permanent = false;  // True: waiting does not help. False: the refusal may pass.
};

// words: writes the reason, if it is asked for.
template <typename Words>
Refusal Refuse(const DeviceEvaluation& on, const Words& words, bool permanent = false) {
  return {on.explains ? std::string(words()) : std::string(), permanent};
}

// The inputs of a rule besides the job. The planner asks a rule again only when these inputs have
// changed.
enum class RuleScope {
  kDevice,  // The device and its last heartbeat, which are fixed for the whole plan.
  kMode,    // Also the mode in which it would run the job, and the prediction of a start now.
  kLoad,    // Also the time when the device is free, and the promised joules of its battery.
};

struct Rule {
  absl::string_view name;  // As in Candidate.refused_by; part of the API, never changed.
  RuleScope scope = RuleScope::kDevice;
  // nullopt: the rule allows the device.
  std::optional<Refusal> (*check)(const DeviceEvaluation& on) = nullptr;
  // The earliest later start that the rule may allow after it refused this one; nullopt: nobody
  // knows. Null: nobody ever knows. Only rules of the scope kLoad have a time.
  std::optional<absl::Time> (*allowed_from)(const DeviceEvaluation& on) = nullptr;
  // Why a job waits for that time, one clause about the device.
  absl::string_view waits_for = "";
};

// All rules in their order. The first permanent refusal counts, else the first refusal.
absl::Span<const Rule> Rules();

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_RULE_H_
