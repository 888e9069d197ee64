// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rules that refuse a device for a job, with a reason that a person can act on. A rule is a
// function and a row of the table in rules.cc. To add one: the function, its line in
// rules_internal.h, its row, a case in rule_test.cc. Thread-safe: rules have no state.
#ifndef WATTLE_SCHEDULER_PLACE_RULE_H_
#define WATTLE_SCHEDULER_PLACE_RULE_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "scheduler/place/snapshot.h"
#include "units/quantity.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// One device, looked at for one job, at the time it could start there. A rule of the scope kDevice
// sees the load's fields empty.
struct Consideration {
  const Snapshot& snapshot;
  const JobView& job;
  const DeviceView& device;
  const v1::Prediction& prediction;
  bool dry_run = false;  // `wattle plan`: files may be declared instead of named.
  // The load.
  double start_in_seconds = 0;         // Wall.
  double finish_in_seconds_upper = 0;  // Wall, at the run's upper quantile.
  Joules committed = Joules(0);        // The device's, with what this plan put there before.
};

struct Refusal {
  std::string reason;      // With the numbers, and what would make it feasible.
  bool permanent = false;  // Cannot pass by itself, as against not now.
};

// What a rule looks at besides the job. The planner asks each rule again only when its scope has
// changed.
enum class RuleScope {
  kDevice,  // The device and its last heartbeat: one answer for the whole plan.
  kLoad,    // Also when the device is free and what its battery owes.
};

struct Rule {
  absl::string_view name;  // As in Candidate.refused_by; part of the API, never changed.
  RuleScope scope;
  // None: the rule has nothing against the device.
  std::optional<Refusal> (*check)(const Consideration& on);
};

// All rules, in the order in which they are asked. The first permanent refusal counts, else the
// first.
absl::Span<const Rule> Rules();

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULE_H_
