// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the coordinator knows. State is durable: it is exactly what the journal's events made of it,
// only Apply (core.h) changes it, and its bytes are the same after every replay. Observations are
// soft: what the live streams said last; they inform decisions and are never stored. Ordered
// containers only. Values without a lock: each thread has its own copy, and a copy is cheap.
#ifndef WATTLE_COORDINATOR_CORE_STATE_H_
#define WATTLE_COORDINATOR_CORE_STATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "base/persistent_map.h"
#include "scheduler/profiles/profile_table.h"
#include "units/id.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

// One moment on the coordinator's two clocks. Wall time is for stamps, deadlines and windows, and
// may step at any moment. Whatever lasts (leases, reachability, backoffs, pauses) is counted on the
// monotonic clock.
struct Instant {
  absl::Time wall = absl::InfinitePast();
  Monotonic monotonic;
};
absl::Time FromUnix(double seconds);
double ToUnix(absl::Time time);

// When this process applied the events of an open job, on its monotonic clock; see elapsed.h. What
// an earlier process applied has no time here.
struct JobTimes {
  std::optional<Monotonic> submitted;
  std::optional<Monotonic> queued;      // With its present backoff.
  std::optional<Monotonic> impossible;  // No device of the fleet can run it, since then.
  std::optional<Monotonic> ended;       // The only time of a job that has ended.
  SequenceNumber changed;               // Event of the last change of state.
};
struct AttemptTimes {
  std::optional<Monotonic> placed;
  std::optional<Monotonic> state;  // Last change.
  std::optional<Monotonic> released;
};

// What a job adds to the counts and indices of the state.
struct CountedJob {
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  double finished_unix_seconds = 0;
  std::map<v1::AttemptState, int64_t> attempts;
};

// A copy shares its records with the original (base/persistent_map.h): taking a version costs a few
// pointers, whatever the size.
struct State {
  SequenceNumber last_sequence;        // Of the last applied event; 0: none.
  int64_t next_job_number = 1;         // "j" + number.
  FencingToken next_fencing_token{1};  // One counter for all jobs.
  PersistentMap<DeviceId, v1::DeviceRecord> devices;
  PersistentMap<int64_t, v1::JobRecord> jobs;       // By number, so that j2 comes before j10.
  PersistentMap<std::string, v1::Policy> policies;  // By name.
  PersistentMap<ArtifactId, v1::ArtifactInfo> artifacts;
  PersistentMap<std::string, ArtifactId> artifact_names;  // Latest push of each name.
  // The published rows, which every version of this program brings along, and the measured ones.
  scheduler::ProfileTable profiles = scheduler::ProfileTable::Priors();
  // Of the jobs that left for the history, and of their attempts: how many, by last state.
  std::map<v1::JobState, int64_t> archived_jobs;
  std::map<v1::AttemptState, int64_t> archived_attempts;
  std::string lineage_id;                            // See lineage.h.
  std::vector<v1::Opening> openings;                 // Oldest first.
  std::vector<v1::RestoreFinding> restore_findings;  // Since the last opening of a copy.

  // Derived from the above by Apply and SnapshotReader; not part of the bytes.
  PersistentMap<std::string, int64_t> job_by_idempotency_key;
  PersistentSet<int64_t> open_jobs;  // Not in a terminal state.
  // In a terminal state: when the job ended (Unix seconds) and its number, oldest end first.
  PersistentSet<std::pair<double, int64_t>> ended_jobs;
  int64_t artifact_bytes = 0;  // Of all artifacts together.
  // The attempt that each device is wanted to hold: current attempt of an active job. Devices that
  // hold none have no entry.
  PersistentMap<DeviceId, AttemptId> wanted_attempt;
  PersistentMap<int64_t, CountedJob> counted_jobs;  // Each job of `jobs`, as it is counted below.
  // How many jobs and attempts are in each state, archived ones included.
  std::map<v1::JobState, int64_t> job_counts;
  std::map<v1::AttemptState, int64_t> attempt_counts;
  // The event that last changed what a plan may do with the device: its registration, drain,
  // resumption, or a policy that selects it. No entry: none since the process started.
  PersistentMap<DeviceId, SequenceNumber> device_changed;
  // Open jobs that had an attempt on the device: it keeps their checkpoints.
  PersistentMap<DeviceId, std::set<int64_t>> jobs_of_device;

  // Of open jobs, and of ended jobs that this process saw end; not part of the bytes, and not the
  // same after a replay.
  PersistentMap<int64_t, JobTimes> job_times;
  PersistentMap<AttemptId, AttemptTimes> attempt_times;
};

// "j12" → 12; nothing for anything else.
std::optional<int64_t> JobNumber(absl::string_view job_id);
// Null where there is none. The pointers hold until the next Apply.
const v1::JobRecord* FindJob(const State& state, const JobId& job);
const v1::Attempt* FindAttempt(const State& state, const AttemptId& attempt);
const v1::DeviceRecord* FindDevice(const State& state, const DeviceId& device);
const v1::ReportMark* FindMark(const State& state, const DeviceId& device, int64_t incarnation);
// By id, name, or unique prefix of the id. Errors: kNotFound (lists what there is),
// kInvalidArgument when ambiguous.
absl::StatusOr<DeviceId> ResolveDevice(const State& state, absl::string_view reference);
// By name, id, unique prefix of the id (8 digits at least) or "job:ID/output". Errors: kNotFound;
// kInvalidArgument when ambiguous; kFailedPrecondition for the output of a job that has none yet.
absl::StatusOr<ArtifactId> ResolveArtifact(const State& state, absl::string_view reference);

bool IsTerminal(v1::JobState state);
bool IsTerminal(v1::AttemptState state);

// The whole durable state as rows of one record each: no state is too large. Each row is a
// serialized v1.StateSnapshot. Equal states give equal rows, on every architecture. Stops at the
// first error of `take`. Errors: kOutOfRange for a record that is too large to be stored.
absl::Status GiveSnapshotRows(const State& state,
                              const std::function<absl::Status(absl::string_view)>& take);
// CRC32C over those rows: tells whether two states are equal.
absl::StatusOr<uint32_t> SnapshotDigest(const State& state);

// Rows back to the state.
class SnapshotReader {
 public:
  // Errors: kDataLoss for a row that cannot be read; kFailedPrecondition for a format version that
  // this program does not know.
  absl::Status Take(absl::string_view row);
  // Errors: kDataLoss where there was no row.
  absl::StatusOr<State> Finish() &&;

 private:
  absl::Status AddRecords(const v1::StateSnapshot& snapshot);

  State state_;
  bool begun_ = false;  // The first row, which has the numbers, was taken.
};

// All rows joined, for tests and small states; and back.
std::string SnapshotBytes(const State& state);
absl::StatusOr<State> ParseSnapshot(absl::string_view bytes);

struct DeviceObservation {
  bool connected = false;  // has a stream
  // Everything that the device had spooled before its latest hello is taken. Until then it gets no
  // new work: what it tells next may be the end of the very job that waits.
  bool caught_up = true;
  std::optional<Instant> last_seen;
  v1::Heartbeat heartbeat;  // latest
};

struct Observations {
  // Start of this coordinator process: no lease counts as older than that.
  Instant started;
  // A device is shown as unreachable when nothing was heard of it for so long.
  absl::Duration unreachable_after = absl::Seconds(10);
  // What becomes of a job that no device of the fleet could ever run for so long: it fails, or it
  // stays queued for a device that may come.
  absl::Duration impossible_grace = absl::Minutes(10);
  bool hold_impossible = false;
  std::map<DeviceId, DeviceObservation> devices;
  // Of queued jobs, why the latest plan did not start them; null: there was no plan yet.
  std::shared_ptr<const std::map<JobId, std::string>> why_not_now;
  std::map<AttemptId, v1::AttemptProgress> progress;  // latest of live attempts
};

// Connected, and heard of within unreachable_after.
bool IsReachable(const Observations& observations, const DeviceId& device, Monotonic now);
// DeviceObservation::caught_up; false for a device that was never heard of.
bool IsCaughtUp(const Observations& observations, const DeviceId& device);
// When the device was last heard of, at the earliest the coordinator's start.
Monotonic LastContact(const Observations& observations, const DeviceId& device);

// For readers: the durable record with what was observed beside it. The record must exist.
v1::Device DescribeDevice(const State& state, const Observations& observations,
                          const DeviceId& device, const Instant& now);
// With all names that stand for the artifact now. The record must exist.
v1::ArtifactInfo DescribeArtifact(const State& state, const ArtifactId& artifact);
// Completes a job for readers, also one of the history: why it does not go on now, and the name of
// each attempt's device, whether it is emulated and whether it cannot be reached.
void CompleteJob(const State& state, const Observations& observations, const Instant& now,
                 v1::Job& job);
// The job of the state, completed. It must be there.
v1::Job DescribeJob(const State& state, const Observations& observations, const JobId& job,
                    const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_STATE_H_
