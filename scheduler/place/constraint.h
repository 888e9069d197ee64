// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rules that refuse a device for a job, with a reason that a person can act on. To add one: a small
// file with a class of this interface and a function that returns it, a line in
// constraint_registry.cc, a row in constraint_test.cc. Thread-safe: constraints have no state.
#ifndef WATTLE_SCHEDULER_PLACE_CONSTRAINT_H_
#define WATTLE_SCHEDULER_PLACE_CONSTRAINT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "scheduler/place/snapshot.h"
#include "units/quantity.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// One device, looked at for one job, at the time it could start there.
struct Consideration {
  const Snapshot& snapshot;
  const JobView& job;
  const DeviceView& device;
  const v1::Prediction& prediction;
  double start_in_seconds = 0;         // Wall.
  double finish_in_seconds = 0;        // Wall, expected.
  double finish_in_seconds_upper = 0;  // Wall, at the run's upper quantile.
  Joules committed;                    // The device's, with what this plan put there before.
  bool dry_run = false;                // `wattle plan`: files may be declared instead of named.
};

struct Refusal {
  std::string reason;      // With the numbers, and what would make it feasible.
  bool permanent = false;  // Cannot pass by itself, as against not now.
};

class Constraint {
 public:
  Constraint() = default;
  Constraint(const Constraint&) = delete;
  Constraint& operator=(const Constraint&) = delete;
  virtual ~Constraint() = default;
  // As in Candidate.refused_by; part of the API, never changed.
  [[nodiscard]] virtual absl::string_view name() const = 0;
  // None: the rule has nothing against it.
  [[nodiscard]] virtual std::optional<Refusal> Check(const Consideration& on) const = 0;
};

// All rules, in the order in which they are asked. The first permanent refusal counts, else the
// first.
absl::Span<const Constraint* const> AllConstraints();

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_CONSTRAINT_H_
