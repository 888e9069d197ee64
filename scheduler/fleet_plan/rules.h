// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The rules of a fleet plan as rows: what each one looks at, whether it allows a run on a device
// that has no other planned work, and what it says to people. A rule of the scope kClass has one
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
  int rule = kNoRule;  // Index in Rules(); of kNotNow kNoRule: other jobs have their places there.
  Seconds until = 0;   // Of kNotNow: the next moment at which the answer may change.
  // Of kNever: what the run wants and what there is, in the rule's unit.
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
  kDevice,      // Also what is fixed of the device.
  kInstant,     // Also the time: windows.
  kTrajectory,  // Also charge and power over time, and the job's own deadline.
};

struct Rule {
  absl::string_view name;
  Scope scope = Scope::kClass;
  Verdict (*check)(const Question& question) = nullptr;      // The verdict's rule is not set.
  std::string (*explain)(const Verdict& verdict) = nullptr;  // Of a verdict that is kNever.
};

// In the order in which they are asked.
absl::Span<const Rule> Rules();

// The first refusal by the rules up to this scope.
Verdict Check(const Question& question, Scope last);

// One clause for people, with the numbers.
std::string Explain(const Verdict& verdict);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_RULES_H_
