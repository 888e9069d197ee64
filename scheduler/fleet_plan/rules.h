// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The rules of a fleet plan as rows: the inputs of each rule, whether it allows a run on a device
// that has no other planned work, and its text for people. A rule of the scope kClass has one
// answer for all jobs of a work class and all devices of a device class, so planners ask it once.
// Names are those of Candidate.refused_by. Pure; thread-safe: rules have no state.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_RULES_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_RULES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "scheduler/fleet_plan/fleet.h"

namespace wattle::fleet_plan {

enum class Answer { kOk, kNotNow, kNever };

struct Verdict {
  static constexpr int kNoRule = -1;

  Answer answer = Answer::kOk;
  int rule = kNoRule;  // Index in Rules(); kNoRule with kNotNow: other jobs occupy the device.
  Seconds until = 0;   // With kNotNow: the next moment at which the answer may change.
  // With kNever: the run's need and the available amount, in the rule's unit.
  int64_t wants = 0;
  int64_t has = 0;
};

// One job in one form on one device.
struct Question {
  const Fleet& fleet;
  const Job& job;
  int device = 0;
  const Rate& rate;
};

enum class Scope {
  kClass,       // The work class, the device class and the form.
  kDevice,      // Also the device's fixed properties.
  kInstant,     // Also the time: windows.
  kTrajectory,  // Also charge and power over time, and the job's own deadline.
};

struct Rule {
  absl::string_view name;
  Scope scope = Scope::kClass;
  Verdict (*check)(const Question& question) = nullptr;      // The verdict's rule is not set.
  std::string (*explain)(const Verdict& verdict) = nullptr;  // For a kNever verdict.
};

// In the order in which they are asked.
absl::Span<const Rule> Rules();

// The first refusal by the rules up to this scope.
Verdict Check(const Question& question, Scope last);

// One clause for people, with the numbers.
std::string Explain(const Verdict& verdict);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_RULES_H_
