// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the core is asked (Command), what it answers (Decision) and what follows from an event
// (Effect). Plain values.
#ifndef WATTLE_COORDINATOR_CORE_COMMAND_H_
#define WATTLE_COORDINATOR_CORE_COMMAND_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "scheduler/place/place.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/journal.pb.h"
#include "wattle/v1/policy.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

struct SubmitJob {
  v1::JobSpec spec;
  std::string idempotency_key;  // Required.
  // Jobs whose output the spec names (ReferencedJobs) and that left the state for the history.
  std::vector<v1::Job> archived_sources = {};
};
struct CancelJob {
  JobId job;
  std::string reason;
};
// The first command of a process. Both ids are random and used only where the journal needs them.
struct OpenJournal {
  std::string lineage_id;
  std::string opening_id;
  bool copy = false;      // the journal is a copy that nobody has opened yet
  int64_t epoch_min = 0;  // with copy: open at least under this epoch
  std::string reason;     // with copy
};
// A stream was opened. The device must be valid (ValidateHello).
struct WorkerHello {
  v1::Hello hello;
};
struct WorkerReport {
  DeviceId device;
  int64_t incarnation = 0;
  v1::Report report;
};
// Time passed: leases, time-outs.
struct Tick {};

// For each queued job a start now (device_id set, wait false), or why it does not start: the reason
// is then told to people.
struct PlanComputed {
  SequenceNumber computed_on;  // State::last_sequence of the snapshot
  std::vector<scheduler::QueuePlacement> jobs;
};
struct DrainDevice {
  DeviceId device;
  std::string reason;
};
struct ResumeDevice {
  DeviceId device;
};
struct RemoveDevice {
  DeviceId device;
};
struct ApplyPolicy {
  v1::Policy policy;
};
struct DeletePolicy {
  std::string name;
};
// The artifact's blobs are all there and durable.
struct CommitArtifact {
  v1::ArtifactInfo info;
  bool move_name = false;  // The name may be taken from another artifact.
};
// A person takes away a name, and with its last name the artifact.
struct RemoveArtifact {
  std::string reference;                                  // As in ResolveArtifact.
  v1::ArtifactKind kind = v1::ARTIFACT_KIND_UNSPECIFIED;  // What the caller takes it for.
};

// The store wants room: the artifact may go unless an open job or a name needs it. Its files are
// removed once the event is durable.
struct EvictArtifact {
  ArtifactId artifact;
  std::string reason;
};
// How long ended jobs stay in the state. They then are in the history, which answers the same.
struct Retention {
  // Since their end. A step of the wall clock does not count; see EndedFor in elapsed.h.
  absl::Duration age_max = absl::Hours(24 * 7);
  int64_t jobs_max = 10'000;  // Beyond it the oldest go first.
};
// Ended jobs beyond the retention leave the state, some hundred at once.
struct ArchiveEnded {
  Retention retention;
};

using Command =
    std::variant<OpenJournal, SubmitJob, CancelJob, WorkerHello, WorkerReport, Tick, PlanComputed,
                 DrainDevice, ResumeDevice, RemoveDevice, ApplyPolicy, DeletePolicy, CommitArtifact,
                 RemoveArtifact, EvictArtifact, ArchiveEnded>;

// The device's desired set is to be sent, as DesiredFor says at that moment.
struct DesiredSetChanged {
  DeviceId device;
};
// Reports up to and including `sequence` are durable.
struct Acknowledge {
  DeviceId device;
  int64_t incarnation = 0;
  int64_t sequence = 0;
};
// Something that a plan depends on changed: the planner should run.
struct QueueChanged {};
// Watchers of the job should look again.
struct JobChanged {
  JobId job;
};
// Every effect can be derived from the state and may be lost or repeated.
using Effect = std::variant<DesiredSetChanged, Acknowledge, QueueChanged, JobChanged>;

// Release answer and effects only after the events are durable.
struct Decision {
  std::vector<v1::Event> events;  // numbered and dated, to be journalled and applied in order
  absl::Status status;            // the answer; with an error the only event, if any, notes a
                                  // device's problem
  std::string id;                 // of the job, device or artifact concerned
  bool existed = false;           // SubmitJob: the idempotency key was known
  std::vector<Effect> effects;    // to repeat although nothing changed (a repeated report's
                                  // acknowledgement, a hello's desired set)
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_COMMAND_H_
