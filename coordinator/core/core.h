// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator as a pure state machine: commands in, events and effects out. Nothing here reads
// a clock, draws a random number, touches a file or a socket. The shell's duties, in this order:
//   1. decision = Decide(state, command, observations, now)
//   2. for each event: effects += Apply(state, event, now.monotonic)
//   3. append the events to the journal; on failure end the process (replay, never roll back)
//   4. only then: answer the caller, carry out decision.effects and effects, publish the state
// At start: Apply every journalled event, set Observations::started, and send each device its
// desired set at its hello. Pure functions; State is owned by one thread.
#ifndef WATTLE_COORDINATOR_CORE_CORE_H_
#define WATTLE_COORDINATOR_CORE_CORE_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "coordinator/core/command.h"
#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

// Answers `command`. An error in Decision::status is for the caller and leaves the state as it is,
// but for the note that a device's identity is used twice.
// Errors, by command:
//   SubmitJob: kInvalidArgument names the field; kNotFound for an unknown reference;
//     kAlreadyExists when the key was used with another spec.
//   WorkerReport: kFailedPrecondition for a device or incarnation without hello; kOutOfRange for a
//     gap (effects then repeat the acknowledgement of what is there: the stream is to be reopened
//     or the reports sent again from there).
//   CancelJob, DrainDevice, ResumeDevice, DeletePolicy: kNotFound; kFailedPrecondition for a job
//     that has ended.
//   RemoveDevice, RemoveArtifact: kNotFound; kFailedPrecondition while the device is connected or
//     holds an attempt, and while an open job needs the artifact.
//   CommitArtifact: kAlreadyExists when its name stands for another artifact and may not move.
Decision Decide(const State& state, const Command& command, const Observations& observations,
                const Instant& now);

// Stores what the event carries. `now` is the moment at which a live event is applied (Decide's, or
// a little later); kReplayed for events of an earlier process. REQUIRES: the event is the next in
// sequence.
inline constexpr std::optional<Monotonic> kReplayed = std::nullopt;
std::vector<Effect> Apply(State& state, const v1::Event& event, std::optional<Monotonic> now);

// Version of the protocol between worker and coordinator that this coordinator speaks, and the
// oldest one of a worker that it can work with. Version 1 is that of 0.1, whose hellos name none.
inline constexpr int32_t kProtocol = 2;
inline constexpr int32_t kProtocolMin = 1;

// Whether ArchiveEnded would do anything. started: Observations::started.
bool AnythingToArchive(const State& state, const Instant& started, const Retention& retention,
                       const Instant& now);

// What the device shall hold. An unknown device: an empty set.
v1::DesiredSet DesiredFor(const State& state, const DeviceId& device);

// How many devices of the fleet the policy selects now.
int CountSelected(const State& state, const v1::Policy& policy);

// The spec alone, without the fleet: fields that this version honours, ranges, kind. For SubmitJob
// and for dry runs; `files_needed` refuses model_shape, data_shape and prompt_count, which are for
// 'wattle plan'. Errors: kInvalidArgument, one line that names the field; kUnimplemented for what
// is not supported in this version.
absl::Status ValidateSpec(const v1::JobSpec& spec, bool files_needed);
// The jobs whose output the spec takes as input (job:ID/output).
std::vector<JobId> ReferencedJobs(const v1::JobSpec& spec);
// Errors: kInvalidArgument names the field.
absl::Status ValidateHello(const v1::Hello& hello);
absl::Status ValidatePolicy(const v1::Policy& policy);
// A text that people give with a command: a reason, a reference. kInvalidArgument when it is longer
// than any such text has to be.
absl::Status ValidateText(absl::string_view field, absl::string_view text);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_CORE_H_
