// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the coordinator knows. State is durable: it is exactly what the journal's events made of it,
// only Apply (core.h) changes it, and its bytes are the same after every replay. Observations are
// soft: what the live streams said last; they inform decisions and are never stored. Ordered
// containers only. Values without a lock: the core thread owns them; readers get copies or views.
#ifndef WATTLE_COORDINATOR_CORE_STATE_H_
#define WATTLE_COORDINATOR_CORE_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "units/id.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

struct State {
  SequenceNumber last_sequence;        // of the last applied event; 0: none
  int64_t next_job_number = 1;         // "j" + number
  FencingToken next_fencing_token{1};  // one counter for all jobs
  std::map<DeviceId, v1::DeviceRecord> devices;
  std::map<int64_t, v1::JobRecord> jobs;       // by number, so that j2 comes before j10
  std::map<std::string, v1::Policy> policies;  // by name
  std::map<ArtifactId, v1::ArtifactInfo> artifacts;
  std::map<std::string, ArtifactId> artifact_names;    // latest push of each name
  std::map<std::string, v1::ProfileRow> profile_rows;  // measured, by scheduler::ProfileKey

  // Indices, derived from the above by Apply and FromSnapshot; not part of the bytes.
  std::map<std::string, int64_t> job_by_idempotency_key;
  std::set<int64_t> open_jobs;  // not in a terminal state
  // The attempt that each device is wanted to hold: current attempt of an active job. Devices that
  // hold none have no entry.
  std::map<DeviceId, AttemptId> wanted_attempt;
};

// "j12" → 12; nothing for anything else.
std::optional<int64_t> JobNumber(absl::string_view job_id);
// Null where there is none. The pointers hold until the next Apply.
const v1::JobRecord* FindJob(const State& state, const JobId& job);
const v1::Attempt* FindAttempt(const State& state, const AttemptId& attempt);
const v1::DeviceRecord* FindDevice(const State& state, const DeviceId& device);
// By id, name, or unique prefix of the id. Errors: kNotFound (lists what there is),
// kInvalidArgument when ambiguous.
absl::StatusOr<DeviceId> ResolveDevice(const State& state, absl::string_view reference);
// By name, id, unique prefix of the id (8 digits at least) or "job:ID/output". Errors: kNotFound;
// kInvalidArgument when ambiguous; kFailedPrecondition for the output of a job that has none yet.
absl::StatusOr<ArtifactId> ResolveArtifact(const State& state, absl::string_view reference);

bool IsTerminal(v1::JobState state);
bool IsTerminal(v1::AttemptState state);

// The whole durable state as one message, and back. Equal states give equal bytes, on every
// architecture; FromSnapshot refuses a format_version that it does not know.
v1::StateSnapshot ToSnapshot(const State& state);
absl::StatusOr<State> FromSnapshot(const v1::StateSnapshot& snapshot);
std::string SnapshotBytes(const State& state);
absl::StatusOr<State> ParseSnapshot(absl::string_view bytes);

struct DeviceObservation {
  bool connected = false;  // has a stream
  absl::Time last_seen = absl::InfinitePast();
  v1::Heartbeat heartbeat;  // latest
};

struct Observations {
  // Start of this coordinator process: no lease counts as older than that.
  absl::Time started_at = absl::InfinitePast();
  // A device is shown as unreachable when nothing was heard of it for so long.
  absl::Duration unreachable_after = absl::Seconds(10);
  std::map<DeviceId, DeviceObservation> devices;
  std::map<AttemptId, v1::AttemptProgress> progress;  // latest of live attempts
};

// Connected, and heard of within unreachable_after.
bool IsReachable(const Observations& observations, const DeviceId& device, absl::Time now);
// When the device was last heard of, at the earliest the coordinator's start.
absl::Time LastContact(const Observations& observations, const DeviceId& device);

// For readers: the durable record with what was observed beside it. The record must exist.
v1::Device DeviceView(const State& state, const Observations& observations, const DeviceId& device,
                      absl::Time now);
// With the flag unreachable set on attempts whose device is.
v1::Job JobView(const State& state, const Observations& observations, const JobId& job,
                absl::Time now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_STATE_H_
