// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The runs of a profile job. The job's attempts are its runs: each has its own point (power mode,
// batch, steps), which the planner's snapshot chooses from the results of the finished ones
// (scheduler/profile_run). The job ends when no remaining run is worth its joules. Everything here
// follows from the state, so a replayed journal continues with the same run. Pure.
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

// Whether the job is a profile job.
bool IsProfile(const v1::JobSpec& spec);

// Checks the section of a profile job and the label of its device. files_needed: see ValidateSpec.
// Errors: kInvalidArgument names the field.
absl::Status CheckProfile(const v1::JobSpec& spec, bool files_needed);

// The device that the job measures: that of its live attempt, else the one that its label "device="
// names by name or id; nullopt: there is none yet. A board with a new card is a new device with the
// old name, so a connected device is preferred, then the one that registered last.
std::optional<DeviceId> ProfiledDevice(const State& state, const Observations& observations,
                                       const v1::Job& job);

// The planner's question for the next run of a profile job.
struct ProfileAsk {
  const State& state;
  const v1::Job& job;
  const std::vector<scheduler::InputView>& inputs;
  const v1::Device& device;  // ProfiledDevice, described.
  // Whether a run fits into the device's memory; empty: unknown, all count as fitting.
  std::function<bool(const v1::ProfilePoint&)> fits;
  absl::Time now;
  // False: the device could not begin now, so the run with the fewest joules replaces the choice,
  // which would need a prediction of each point for each candidate.
  bool choose = true;
};

// The next step of the job: a run at a point, or its end.
struct ProfileStep {
  std::optional<v1::ProfilePoint> point{};
  Joules demand{};                             // Gross joules of the run and everything around it.
  std::optional<scheduler::ProfileEnd> end{};  // Set if `point` is not.
};

// Errors: those of WorkOf.
absl::StatusOr<ProfileStep> NextProfileStep(const ProfileAsk& ask);

// "one run for each of 6 points takes together about 2 min 12 s of device time and 1.10 kJ", for
// the remaining points that the job's budget and runs_max allow. Empty if none remains. Errors:
// those of WorkOf.
absl::StatusOr<std::string> RunsToCome(const ProfileAsk& ask);

// Whether a failure of this class is caused by the point: the point is not retried, and the job
// goes on with another one.
bool IsFailureOfPoint(v1::FailureClass failure_class);

// The result of a finished run, for people. taught: its receipt changed a profile row.
std::string OutcomeOfRun(const v1::Attempt& attempt, const v1::Receipt& receipt, bool taught);
// The failure of a run, for people.
std::string OutcomeOfFailedRun(const v1::Attempt& attempt, const std::string& message);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PROFILING_H_
