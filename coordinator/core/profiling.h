// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The runs of a profile job. The job's attempts are its runs: each has a point (power mode, batch,
// steps) of its own, which the planner's snapshot chooses by what the finished ones taught
// (scheduler/profile_run). The job ends when nothing is left that is worth its joules. Everything
// here follows from the state, so that a replayed journal goes on with the same run. Pure.
#ifndef WATTLE_COORDINATOR_CORE_PROFILING_H_
#define WATTLE_COORDINATOR_CORE_PROFILING_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// Whether the job is one of runs, each with a point.
bool IsProfile(const v1::JobSpec& spec);

// The section of a profile job and the label of its device. files_needed: as in ValidateSpec.
// Errors: kInvalidArgument names the field.
absl::Status CheckProfile(const v1::JobSpec& spec, bool files_needed);

// The device that the job measures: that of its live attempt, else the one that its label "device="
// means by name or id; nullopt: there is none yet. A board with a new card is a new device of the
// old name. So a connected device comes before others, and then the one that registered last.
std::optional<DeviceId> ProfiledDevice(const State& state, const Observations& observations,
                                       const v1::Job& job);

// A profile job as the planner asks for its next run.
struct ProfileAsk {
  const State& state;
  const v1::Job& job;
  const std::vector<scheduler::InputView>& inputs;
  const v1::Device& device;  // ProfiledDevice, described.
  // Whether a run fits into the device's memory; empty: unknown, all do.
  std::function<bool(const v1::ProfilePoint&)> fits;
  absl::Time now;
  // False: the device could not begin now, so the run of the fewest joules stands for the choice,
  // which takes a prediction of each point for each candidate.
  bool choose = true;
};

// What the job does next: a run at a point, or its end.
struct ProfileStep {
  std::optional<v1::ProfilePoint> point{};
  Joules demand{};                             // Gross, of the run and everything around it.
  std::optional<scheduler::ProfileEnd> end{};  // Without a point.
};

// Errors: as WorkOf.
absl::StatusOr<ProfileStep> NextProfileStep(const ProfileAsk& ask);

// "one run for each of 6 points takes together about 2 min 12 s of device time and 1.10 kJ", of the
// points that are left and for which the job's budget and runs_max suffice. Empty if none is left.
// Errors: as WorkOf.
absl::StatusOr<std::string> RunsToCome(const ProfileAsk& ask);

// Whether a failure of this class is the point's own: the point is not tried again, and the job
// goes on with another one.
bool IsFailureOfPoint(v1::FailureClass failure_class);

// What a finished run told, for people. taught: its receipt changed a profile row.
std::string OutcomeOfRun(const v1::Attempt& attempt, const v1::Receipt& receipt, bool taught);
// That a run failed, for people.
std::string OutcomeOfFailedRun(const v1::Attempt& attempt, const std::string& message);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PROFILING_H_
