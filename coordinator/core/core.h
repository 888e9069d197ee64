// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator as a pure state machine: commands in, events and effects out. Nothing here reads
// a clock, draws a random number or touches a file or a socket. The event loop's duties, in this
// order:
//   1. decision = Decide(state, command, observations, now)
//   2. for each event: effects += Apply(state, event, now.monotonic)
//   3. append the events to the journal; on failure end the process (replay, never roll back)
//   4. only then: answer the caller, carry out decision.effects and effects, publish the state
// At start the event loop applies every journalled event, sets Observations::started, and sends
// each device its desired set when the device's hello arrives. All functions are pure. One thread
// owns State.
#ifndef WATTLE_COORDINATOR_CORE_CORE_H_
#define WATTLE_COORDINATOR_CORE_CORE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "coordinator/core/command.h"
#include "units/id.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

struct Instant;
struct Observations;
struct State;

// Decides on `command`. An error in Decision::status is the caller's answer and leaves the state
// unchanged, except for events that note why a device is refused: two boards use its identity, or
// its worker's protocol is unsupported.
// Errors, by command:
//   SubmitJob: kInvalidArgument names the field; kNotFound for an unknown reference;
//     kAlreadyExists when the key was used with another spec; kResourceExhausted beyond a quota.
//   WorkerReport: kFailedPrecondition for a device or incarnation without hello; kOutOfRange for a
//     gap in the sequence. The effects of a gap acknowledge the last report before the gap, and the
//     worker sends the later reports again.
//   CancelJob, DrainDevice, ResumeDevice, DeletePolicy: kNotFound; kFailedPrecondition for a job
//     that has ended.
//   RemoveDevice, RemoveArtifact: kNotFound; kFailedPrecondition while the device is connected or
//     holds an attempt, and while an open job needs the artifact.
//   ImportProfiles: kInvalidArgument names the row and the field; nothing is imported then.
//   RemoveImportedProfiles: kNotFound.
//   StartUpgrade: PlanUpgrade's (upgrades.h). StartUpgrade and the three commands for the open
//     upgrade: kFailedPrecondition.
//   CommitArtifact: kAlreadyExists when the name belongs to another artifact and move_name is
//   false.
Decision Decide(const State& state, const Command& command, const Observations& observations,
                const Instant& now);

// Applies the event to `state`. `now` is the moment at which a live event is applied: Decide's, or
// a little later. For events of an earlier process `now` is kReplayed. REQUIRES: the event's
// sequence number is last_sequence + 1.
inline constexpr std::optional<Monotonic> kReplayed = std::nullopt;
std::vector<Effect> Apply(State& state, const v1::Event& event, std::optional<Monotonic> now);

// kProtocol is the version of the worker protocol that this coordinator implements. kProtocolMin is
// the oldest worker version that it supports. Version 1 is the protocol of Wattle 0.1, whose hellos
// carry no version.
inline constexpr int32_t kProtocol = 3;
inline constexpr int32_t kProtocolMin = 1;
// First version with Assignment.after_attempt_id: older workers get one attempt at a time.
inline constexpr int32_t kProtocolWithQueue = 3;

// Whether ArchiveEnded would archive a job now. started: Observations::started.
bool AnythingToArchive(const State& state, const Instant& started, const Retention& retention,
                       const Instant& now);

// The attempts and policies that the device should hold. For an unknown device: an empty set.
v1::DesiredSet DesiredFor(const State& state, const DeviceId& device);
// The heartbeat interval that a device with these policies promises if the coordinator asks for
// `wanted`.
absl::Duration PromisedInterval(const v1::DesiredSet& desired, absl::Duration wanted);

// Number of devices that the policy selects now.
int CountSelected(const State& state, const v1::Policy& policy);

// Checks the spec without the fleet: its kind, its ranges, and that this version supports every
// field. SubmitJob and dry runs share this check. With `files_needed`, ValidateSpec refuses
// model_shape, data_shape and prompt_count, because only 'wattle plan' runs without files. Errors:
// kInvalidArgument, one line that names the field; kUnimplemented for a feature that this version
// does not support.
absl::Status ValidateSpec(const v1::JobSpec& spec, bool files_needed);
// Checks that a submit with the key and the spec repeats the one that made `job`, which has this
// key. Errors: kAlreadyExists if that job has another spec.
absl::Status CheckRepeatedSubmit(const v1::Job& job, absl::string_view idempotency_key,
                                 const v1::JobSpec& spec);
// The jobs whose output the spec takes as input (job:ID/output).
std::vector<JobId> ReferencedJobs(const v1::JobSpec& spec);
// Errors: kInvalidArgument names the field.
absl::Status ValidateHello(const v1::Hello& hello);
// Checks that the worker's protocol version is supported. Errors: kFailedPrecondition, which names
// the versions and the program to update. The next accepted hello clears such a problem from the
// device's record.
absl::Status CheckProtocol(const v1::Hello& hello);
bool IsProtocolProblem(absl::string_view problem);
absl::Status ValidatePolicy(const v1::Policy& policy);
absl::Status ValidateForecast(const v1::HarvestForecast& forecast);
// Checks a text that a person gives with a command: a reason, a reference. Errors: kInvalidArgument
// when the text is too long.
absl::Status ValidateText(absl::string_view field, absl::string_view text);
// The beginning of a text from a worker's report, which is shortened because reports are not
// refused.
std::string ToldText(absl::string_view text);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_CORE_H_
