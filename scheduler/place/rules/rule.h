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

// The end of a run that must meet the job's deadline. The mean is used if no device meets the
// deadline at the upper quantile: a start that is expected to be in time beats none.
enum class DeadlineBy { kUpperQuantile, kMean };

// One device, evaluated for one job at the time when the job could start there. For a rule of the
// scope kDevice or kMode the fields of the load are empty, for one of the scope kDevice also mode
// and prediction.
struct DeviceEvaluation {
  // Start of the run.
  [[nodiscard]] absl::Time start() const { return snapshot.now + absl::Seconds(start_in_seconds); }

  const Snapshot& snapshot;
  const JobView& job;
  const DeviceView& device;
  const policy::Limits& limits;      // For the device, by the snapshot's policies.
  const policy::OpenTimes& windows;  // From the limits, for work.
  const v1::Prediction& prediction;
  // The prediction on a free board that stays cool and whose link carries at once; null:
  // `prediction`.
  const v1::Prediction* alone = nullptr;
  bool dry_run = false;    // `wattle plan`: files may be declared instead of named.
  const DeviceMode& mode;  // The mode in which the device would run the job.
  // A refusal must give its reason. The planner asks only for verdicts, and for the reasons of what
  // it shows.
  bool explains = false;
  // The load.
  double start_in_seconds = 0;         // Wall.
  double finish_in_seconds_upper = 0;  // Wall, upper quantile; of a probe the lower.
  double finish_in_seconds_mean = 0;   // Wall.
  DeadlineBy deadline_by = DeadlineBy::kUpperQuantile;
  // Asks whether a start might suffice although its prediction is too wide to be planned on: the
  // fields above then hold the lower end.
  bool probes = false;
  policy::SpecSteps steps{};         // By the job's spec.
  const DeviceLoad* load = nullptr;  // The device's commitments, including this plan's.
};

struct Refusal {
  // With the numbers, and the change that would make the device feasible. Empty: not requested.
  std::string reason;
  bool permanent = false;  // True: waiting does not help. False: the refusal may pass.
};

// words: writes the reason, if requested.
template <typename Words>
Refusal Refuse(const DeviceEvaluation& on, const Words& words, bool permanent = false) {
  return {on.explains ? std::string(words()) : std::string(), permanent};
}

// The inputs of a rule besides the job. The planner evaluates a rule again only when these inputs
// have changed.
enum class RuleScope {
  kDevice,  // The device and its last heartbeat, which are fixed for the whole plan.
  kMode,    // Also the mode of the job on the device, and the prediction of a start now.
  kLoad,    // Also the time when the device is free, and the promised joules of its battery.
};

struct Rule {
  absl::string_view name;  // Value of Candidate.refused_by; part of the API, never changed.
  RuleScope scope = RuleScope::kDevice;
  // nullopt: the rule allows the device.
  std::optional<Refusal> (*check)(const DeviceEvaluation& on) = nullptr;
  // The earliest later start that the rule may allow after it refused this one; nullopt: unknown.
  // Null: always unknown. Only rules of the scope kLoad have such a time.
  std::optional<absl::Time> (*allowed_from)(const DeviceEvaluation& on) = nullptr;
  // Why a job waits until that time, one clause about the device.
  absl::string_view waits_for = "";
};

// All rules in their order. The first permanent refusal decides, else the first refusal.
absl::Span<const Rule> Rules();

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_RULE_H_
