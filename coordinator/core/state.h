// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's knowledge. State is durable: the journal's events determine State completely,
// only Apply (core.h) changes it, and its bytes are equal after every replay. Observations are
// soft: the latest messages of the live streams. Observations inform decisions and are never
// stored. All containers are ordered, so that iteration is deterministic. State has no lock: each
// thread has its own copy, and a copy is cheap.
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
#include "proto/state_names.h"
#include "scheduler/profiles/profile_table.h"
#include "units/id.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/journal.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle::core {

class Scope;  // See projects.h.

// One moment on the coordinator's two clocks. Wall time is for stamps, deadlines and windows, and
// may step at any moment. Durations (leases, reachability, backoffs, pauses) are counted on the
// monotonic clock.
struct Instant {
  absl::Time wall = absl::InfinitePast();
  Monotonic monotonic;
};
absl::Time FromUnix(double seconds);
double ToUnix(absl::Time time);

// When this process applied the events of a job, on the process's monotonic clock; see elapsed.h.
// Events that an earlier process applied have no time here.
struct JobTimes {
  std::optional<Monotonic> submitted;
  std::optional<Monotonic> queued;      // When the present backoff began.
  std::optional<Monotonic> impossible;  // Since then no device of the fleet can run the job.
  std::optional<Monotonic> ended;       // The only time that is set for an ended job.
  SequenceNumber changed;               // The event that last changed the job.
};
struct AttemptTimes {
  std::optional<Monotonic> placed;
  std::optional<Monotonic> state;  // When the attempt's state last changed.
  std::optional<Monotonic> released;
  absl::Duration worked = absl::ZeroDuration();  // Time in RUNNING, without the present state.
};

// Outcomes of runs on a device that were planned without rests at the reserve, as this process saw
// them.
struct RunsOfDevice {
  int64_t ended = 0;
  int64_t stopped_by_charge = 0;  // Each stop of the guard at the reserve counts.

  bool operator==(const RunsOfDevice& other) const = default;
};

// The job's contribution to the counts and indices of State.
struct CountedJob {
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  double finished_unix_seconds = 0;
  std::map<v1::AttemptState, int64_t> attempts;
};

// A copy shares its records with the original (base/persistent_map.h). A copy therefore costs a few
// pointers at any size of the state.
struct State {
  SequenceNumber last_sequence;        // The last applied event; 0 before the first.
  int64_t next_job_number = 1;         // "j" + number.
  FencingToken next_fencing_token{1};  // One counter for all jobs.
  PersistentMap<DeviceId, v1::DeviceRecord> devices;
  PersistentMap<int64_t, v1::JobRecord>
      jobs;  // Key: the job's number, so that j2 sorts before j10.
  PersistentMap<std::string, v1::Policy> policies;  // Key: the policy's name.
  PersistentMap<ArtifactId, v1::ArtifactInfo> artifacts;
  PersistentMap<std::string, ArtifactId> artifact_names;  // The artifact that each name points to.
  PersistentMap<std::string, v1::EnrolmentToken> tokens;  // Key: the token's id.
  PersistentMap<std::string, v1::IdentityRecord> identities;  // Key: "device/ID", "person/ID".
  PersistentMap<std::string, v1::HarvestForecast> forecasts;  // Key: the forecast's name.
  PersistentMap<std::string, v1::Quota> quotas;               // Key: QuotaKey.
  PersistentMap<std::string, v1::Project> projects;           // Key: the name; without "default".
  // By the number of an open job: uploads for it whose bytes were already stored as another job's
  // artifact.
  PersistentMap<int64_t, std::set<ArtifactId>> other_uploads;
  PersistentMap<int64_t, v1::Upgrade> upgrades;  // Key: the upgrade's number; the latest ones.
  // The published rows, which are compiled into the program, and the measured rows.
  scheduler::ProfileTable profiles = scheduler::ProfileTable::Priors();
  // How many jobs and attempts have moved to the history, by last state.
  std::map<v1::JobState, int64_t> archived_jobs;
  std::map<v1::AttemptState, int64_t> archived_attempts;
  std::string lineage_id;                            // See lineage.h.
  std::vector<v1::Opening> openings;                 // Oldest first.
  std::vector<v1::RestoreFinding> restore_findings;  // Since a copy was last opened.

  // Apply and SnapshotReader derive the fields below from those above; the snapshot lacks them.
  PersistentMap<std::string, int64_t> job_by_idempotency_key;
  PersistentSet<int64_t> open_jobs;  // Not in a terminal state.
  // Jobs in a terminal state: (end in Unix seconds, job number), oldest end first.
  PersistentSet<std::pair<double, int64_t>> ended_jobs;
  int64_t artifact_bytes = 0;  // Sum over all artifacts.
  // The attempts that each device should hold: the current ones of active jobs, by token, which is
  // the order in which the device begins them. A device that should hold none has no entry.
  PersistentMap<DeviceId, std::map<int64_t, AttemptId>> wanted_attempts;
  PersistentMap<int64_t, CountedJob> counted_jobs;  // How each job of `jobs` is counted below.
  // How many jobs and attempts are in each state, including the history's.
  std::map<v1::JobState, int64_t> job_counts;
  std::map<v1::AttemptState, int64_t> attempt_counts;
  // The event that last changed which plans the device allows: its registration, drain or
  // resumption, or a policy that selects it. No entry: no such event since the process started.
  PersistentMap<DeviceId, SequenceNumber> device_changed;
  // Open jobs that had an attempt on the device, which may keep their checkpoints.
  PersistentMap<DeviceId, std::set<int64_t>> jobs_of_device;

  // Times of open jobs, and of the ended jobs that this process saw end. The snapshot lacks them,
  // and they differ after a replay.
  PersistentMap<int64_t, JobTimes> job_times;
  PersistentMap<AttemptId, AttemptTimes> attempt_times;
  // The longest pause of an attempt on the device that this process saw end.
  PersistentMap<DeviceId, absl::Duration> longest_pause;
  PersistentMap<DeviceId, RunsOfDevice> runs_of_device;
  // When the device's part in the open upgrade last changed, or the upgrade went on.
  PersistentMap<DeviceId, Monotonic> upgrade_times;
  // When an attempt was last released for a gain on the device; nullopt: before this process.
  PersistentMap<DeviceId, std::optional<Monotonic>> left_for_gain;
};

// The owner, or "*" for all others; for a project's quota "project/NAME".
std::string QuotaKey(const std::string& owner, const std::string& project);
// "j12" → 12; nullopt for any other text.
std::optional<int64_t> JobNumber(absl::string_view job_id);
// Null if there is none. The pointers are valid until the next Apply.
const v1::JobRecord* FindJob(const State& state, const JobId& job);
const v1::Attempt* FindAttempt(const State& state, const AttemptId& attempt);
const v1::DeviceRecord* FindDevice(const State& state, const DeviceId& device);
const v1::ReportMark* FindMark(const State& state, const DeviceId& device, int64_t incarnation);
// Finds a device by id, name, or unique prefix of the id. Errors: kNotFound lists the known names;
// kInvalidArgument for an ambiguous reference.
absl::StatusOr<DeviceId> ResolveDevice(const State& state, absl::string_view reference);
// Finds an artifact by name, id, unique prefix of the id (at least 8 digits) or "job:ID/output".
// Errors: kNotFound; kInvalidArgument for an ambiguous reference; kFailedPrecondition for the
// output of a job that has no output yet.
absl::StatusOr<ArtifactId> ResolveArtifact(const State& state, absl::string_view reference);
// Treats artifacts out of the scope as missing. kind: kind of the artifacts that an error lists.
absl::StatusOr<ArtifactId> ResolveArtifact(const State& state, absl::string_view reference,
                                           const Scope& scope,
                                           v1::ArtifactKind kind = v1::ARTIFACT_KIND_UNSPECIFIED);

// Passes the whole durable state to `take` as rows of one record each, so that no state is too
// large to be stored. Each row is a serialized v1.StateSnapshot. Equal states give equal rows on
// every architecture. Stops at the first error of `take`. Errors: kOutOfRange for a record that is
// too large to be stored.
absl::Status GiveSnapshotRows(const State& state,
                              const std::function<absl::Status(absl::string_view)>& take);
// CRC32C over the snapshot's rows: equal states have equal digests.
absl::StatusOr<uint32_t> SnapshotDigest(const State& state);

// Reads a state back from its snapshot rows.
class SnapshotReader {
 public:
  // Errors: kDataLoss for a row that cannot be read; kFailedPrecondition for a format version that
  // this program does not know.
  absl::Status Take(absl::string_view row);
  // Errors: kDataLoss without a single row.
  absl::StatusOr<State> Finish() &&;

 private:
  absl::Status AddRecords(const v1::StateSnapshot& snapshot);

  State state_;
  bool begun_ = false;  // The first row, which carries the counters, was taken.
};

// All rows joined into one string, for tests and small states; and the inverse.
std::string SnapshotBytes(const State& state);
absl::StatusOr<State> ParseSnapshot(absl::string_view bytes);

// Progress of the hand-over of an attempt.
struct HandOver {
  AttemptId attempt;
  int64_t handed_bytes = 0;
  int64_t size_bytes = 0;
  Monotonic advanced;  // when handed_bytes was last more than ever before
};

struct DeviceObservation {
  bool connected = false;  // the device has a stream
  // The coordinator has received every report that the device had spooled before its latest hello.
  // Until then the device gets no new work, because its next report may end the very job that
  // waits.
  bool caught_up = true;
  // Ended attempts whose results the device announced in its hello and has not reported yet. A
  // queued job with such an attempt is not placed again.
  std::set<AttemptId> results_to_come;
  // The worker can hold attempts that wait behind the running one (kProtocolWithQueue).
  bool takes_queued = false;
  std::optional<Instant> last_seen;
  // The device promised a heartbeat at least this often; zero: as often as the coordinator asks.
  absl::Duration heartbeat_interval{};
  v1::Heartbeat heartbeat;                      // latest
  Monotonic connected_since;                    // the begin of the latest stream
  std::optional<Monotonic> storage_sick_since;  // Reported by all heartbeats since then.
  HandOver hand_over;
  v1::RecentHarvest
      harvest;  // Collected from heartbeats; covers more hours than one heartbeat (forecasts.h).
};
// Updates what outlasts one `heartbeat`, received at `now`: a hand-over, a failing disk, harvest.
void NoteHeartbeat(const v1::Heartbeat& heartbeat, Monotonic now, DeviceObservation& observation);

// The latest plan's entry for a job that does not start now.
struct WaitingJob {
  std::string why;      // See WhyNotNow.
  v1::Placement place;  // Start and end; for the choice and the runner-up only the costs.
  std::optional<v1::Prediction> expected = std::nullopt;  // On the best device; nullopt if unknown.
};

struct Observations {
  Instant started;  // of this coordinator process
  // Since when the process has listened without a break; see standstill_detector.h. Silence before
  // this time does not count.
  Monotonic listening_since;
  // A device that was silent for longer than this, and for longer than three of the heartbeats that
  // it promised, is shown as unreachable.
  absl::Duration unreachable_after = absl::Seconds(10);
  // A job that no device of the fleet could run for this long fails. With hold_impossible the job
  // stays queued for a device that may join.
  absl::Duration impossible_grace = absl::Minutes(10);
  bool hold_impossible = false;
  // Checks that jobs may read this model, by its signer; the error says what to do. Empty: every
  // model is allowed.
  std::function<absl::Status(const v1::ArtifactInfo&)> check_model;
  std::map<DeviceId, DeviceObservation> devices;
  // The queued jobs that the latest plan did not start. Null before the first plan.
  std::shared_ptr<const std::map<JobId, WaitingJob>> waiting;
  std::map<AttemptId, v1::AttemptProgress> progress;  // latest of live attempts
};

// Whether the device is connected and not silent for too long (Observations::unreachable_after).
bool IsReachable(const Observations& observations, const DeviceId& device, Monotonic now);
// DeviceObservation::caught_up; false for a device that never connected to this process.
bool IsCaughtUp(const Observations& observations, const DeviceId& device);
// Jobs whose results reachable devices are about to return.
std::set<JobId> JobsWithResultsToCome(const Observations& observations, Monotonic now);
// The attempt whose end is reported; empty: the report ends none. No further result of an ended
// attempt follows.
AttemptId EndedAttempt(const v1::Report& report);
// Time of the device's last message, or Observations::listening_since if that is later.
Monotonic LastContact(const Observations& observations, const DeviceId& device);

// For readers: the durable record joined with the observations. REQUIRES: the device exists.
v1::Device DescribeDevice(const State& state, const Observations& observations,
                          const DeviceId& device, const Instant& now);
// The artifact with all its present names. REQUIRES: the artifact exists.
v1::ArtifactInfo DescribeArtifact(const State& state, const ArtifactId& artifact);
// Completes a job for readers, also a job from the history: why the job does not go on now, and for
// each attempt the device's name, whether the device is emulated and whether it is unreachable.
void CompleteJob(const State& state, const Observations& observations, const Instant& now,
                 v1::Job& job);
// A job of the state, completed. REQUIRES: the job exists.
v1::Job DescribeJob(const State& state, const Observations& observations, const JobId& job,
                    const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_STATE_H_
