// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core's plain values: a Command goes in, a Decision comes out, and an Effect follows from an
// event.
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
#include "wattle/v1/access.pb.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/journal.pb.h"
#include "wattle/v1/policy.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle::core {

struct SubmitJob {
  v1::JobSpec spec;
  std::string idempotency_key;  // Required.
  // Jobs that the spec names as inputs (ReferencedJobs) and that have moved to the history.
  std::vector<v1::Job> archived_sources = {};
};
struct CancelJob {
  JobId job;
  std::string reason;
};
// The first command of a process. Both ids are random. Only a new journal uses lineage_id, and only
// a new opening uses opening_id.
struct OpenJournal {
  std::string lineage_id;
  std::string opening_id;
  bool copy = false;      // the journal is a copy that was never opened
  int64_t epoch_min = 0;  // with copy: the lowest epoch to open under
  std::string reason;     // with copy: why, for people
};
// A worker opened a stream. Decide checks the hello (ValidateHello).
struct WorkerHello {
  v1::Hello hello;
  // For people: which live stream of the device another process would replace with this hello;
  // empty: none. Decide refuses such a hello and notes it.
  std::string rival = {};
  bool doubled = false;  // With rival: both processes are certainly alive (duplicate_identity.h).
};
struct WorkerReport {
  DeviceId device;
  int64_t incarnation = 0;
  v1::Report report;
  // The coordinator's signature of the model that the finished attempt made; unset: none. Stored if
  // the report makes the model a job's output.
  v1::ArtifactSignature output_signature = {};
};
// Time passed: leases, deadlines and time-outs may end.
struct Tick {};

// The scheduler's answer for each queued job: either the job starts now (device_id set, wait
// false), or the answer carries a reason for people.
struct PlanComputed {
  SequenceNumber computed_on;  // State::last_sequence of the snapshot
  std::vector<scheduler::QueuePlacement> jobs;
  std::vector<scheduler::GainfulMove> moves = {};  // Running attempts that leave their devices.
  int proposals_dropped = 0;                       // See scheduler::QueueAndMoves.
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
struct PushForecast {
  v1::HarvestForecast forecast;
  std::string by;
};
struct RemoveForecast {
  std::string name;
};
// Profile rows that another fleet measured.
struct ImportProfiles {
  v1::ProfileExport file;
  std::string file_name;  // For people.
};
struct RemoveImportedProfiles {
  std::string device_class;  // Empty: all classes.
};
// The artifact is complete: all its blobs are stored and durable. info.pushed_by is the person who
// pushes, whose quota counts; empty: a device, or an unauthenticated caller. For a device's upload,
// info.job_id gives the project and the owner.
struct CommitArtifact {
  v1::ArtifactInfo info;
  bool move_name = false;  // Takes the name from another artifact that has it.
  // Projects of the person who pushes; empty: all. info.projects: the projects of the artifact.
  std::vector<std::string> own_projects = {};
  DeviceId device = {};  // The uploading device, see CheckMayCommit; empty: another caller.
};
// A signature of the artifact, which the event loop has checked because it knows the signers.
struct SignArtifact {
  ArtifactId artifact;
  v1::ArtifactSignature signature;
  std::string by;
};
// A person removes a name. The artifact goes with its last name.
struct RemoveArtifact {
  std::string reference;                                  // See ResolveArtifact.
  v1::ArtifactKind kind = v1::ARTIFACT_KIND_UNSPECIFIED;  // The kind that the caller expects.
  std::vector<std::string> own_projects = {};             // See CommitArtifact.
};

// The store needs room and proposes to evict this artifact. The core refuses while an open job or a
// name needs the artifact. The event loop removes the files once the event is durable.
struct EvictArtifact {
  ArtifactId artifact;
  std::string reason;
};
// New tokens for enrolment, complete but for `used` and `revoked`.
struct CreateTokens {
  std::vector<v1::EnrolmentToken> tokens;
};
struct RevokeToken {
  std::string token_id;
  std::string by;
  bool by_admin = false;  // Otherwise only tokens of devices.
};
// After a restore: the number of uses of the token, which this journal may lack.
struct HoldTokenUses {
  std::string token_id;
  int used = 0;
};
// A device or person presents a token. identity: its id (devices only), keys, certificate and
// token; the token gives the rest.
struct Enrol {
  v1::IdentityRecord identity;
  std::string secret_sha256;  // Raw.
};
// A device that waits for approval may work from now on.
struct ApproveDevice {
  DeviceId device;
  std::string by;
};
// After a restore: a device that this journal lacks, or has from an earlier enrolment, waits for
// approval again. identity: as enrolled.
struct HoldForApproval {
  v1::IdentityRecord identity;
};
// Revokes the identity. Profile data that the device reported since `since` no longer counts.
struct RevokeIdentity {
  std::string kind;
  std::string id;
  std::string reason;
  std::string by;
  absl::Time since = absl::InfinitePast();
  // After a restore: also revokes a device that this journal lacks.
  bool also_unknown = false;
};
// The certificate of an enrolled identity was renewed.
struct RenewIdentity {
  std::string kind;
  std::string id;
  std::string root_sha256;  // Raw, as in the next two.
  absl::Time not_after;
};
// The first notes that a root is about to sign certificates; the second notes that a root is about
// to be distrusted.
struct RotateRoot {
  std::string root_sha256;
  std::string by;
};
struct RetireRoot {
  std::string root_sha256;
  std::string by;
};
// Calls refused since the last such command, for the audit. No state depends on it.
struct CountRefusals {
  v1::RefusalsCounted counted;
};
// Replaces the owner's quota; one without a limit removes it.
struct SetQuota {
  v1::Quota quota;
  std::string by;
};
// Makes the project, or replaces its labels.
struct SetProject {
  v1::Project project;
  std::string by;
};
struct RemoveProject {
  std::string name;
  std::string by;
};
// Replaces the person's projects; an empty list leaves only "default".
struct SetMember {
  std::string person;
  std::vector<std::string> projects;
  std::string by;
};
// Rolls a release out to the fleet (upgrades.h). coordinator_version: the version of this program.
struct StartUpgrade {
  v1::StartUpgradeRequest request;
  std::string coordinator_version;
};
// The next three commands concern the open upgrade.
struct PauseUpgrade {
  std::string reason;
};
// Retries devices that rolled back or refused.
struct ResumeUpgrade {};
struct AbortUpgrade {
  std::string reason;
};
// How long ended jobs stay in the state. Afterwards the history returns them with the same fields.
struct Retention {
  // Time since the job ended, unaffected by steps of the wall clock (EndedFor in elapsed.h).
  absl::Duration age_max = absl::Hours(24 * 7);
  int64_t jobs_max = 10'000;  // Beyond this count the oldest jobs leave first.
};
// Moves ended jobs beyond the retention to the history, a few hundred per command.
struct ArchiveEnded {
  Retention retention;
};

using Command =
    std::variant<OpenJournal, SubmitJob, CancelJob, WorkerHello, WorkerReport, Tick, PlanComputed,
                 DrainDevice, ResumeDevice, RemoveDevice, ApplyPolicy, DeletePolicy, CommitArtifact,
                 SignArtifact, RemoveArtifact, EvictArtifact, ArchiveEnded, CreateTokens,
                 RevokeToken, HoldTokenUses, Enrol, ApproveDevice, HoldForApproval, RevokeIdentity,
                 RenewIdentity, RotateRoot, RetireRoot, CountRefusals, SetQuota, ImportProfiles,
                 RemoveImportedProfiles, PushForecast, RemoveForecast, SetProject, RemoveProject,
                 SetMember, StartUpgrade, PauseUpgrade, ResumeUpgrade, AbortUpgrade>;

// The event loop sends the device its desired set, as DesiredFor gives it at that moment.
struct DesiredSetChanged {
  DeviceId device;
};
// Reports up to and including `sequence` are durable.
struct Acknowledge {
  DeviceId device;
  int64_t incarnation = 0;
  int64_t sequence = 0;
};
// An input of the plan changed, so the planner should run.
struct QueueChanged {};
// Watchers of the job should read it again.
struct JobChanged {
  JobId job;
};
// Every effect can be derived from the state, so an effect may be lost or repeated.
using Effect = std::variant<DesiredSetChanged, Acknowledge, QueueChanged, JobChanged>;

// The event loop releases the answer and the effects only after the events are durable.
struct Decision {
  std::vector<v1::Event> events;  // numbered and dated; to be journalled and applied in order
  absl::Status status;   // the caller's answer; events beside an error note a device's problem
  std::string id;        // of the job, device, artifact or upgrade concerned
  bool existed = false;  // SubmitJob: the idempotency key was known. Enrol: answered before
  std::vector<Effect> effects;  // sent although nothing changed: a repeated report's
                                // acknowledgement, a hello's desired set
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_COMMAND_H_
