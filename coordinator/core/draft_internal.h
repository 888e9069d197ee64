// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A decision under construction. Draft numbers and dates the events, and has the transitions that
// several commands share. A Draft lives for one call of Decide. Private to coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_DRAFT_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_DRAFT_INTERNAL_H_

#include <cstdint>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "coordinator/core/command.h"
#include "coordinator/core/retry_policy.h"
#include "coordinator/core/state.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::core {

class Draft {
 public:
  Draft(const State& state, const Observations& observations, const Instant& now)
      : state_(state), observations_(observations), now_(now) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] const Observations& observations() const { return observations_; }
  [[nodiscard]] const Instant& now() const { return now_; }

  v1::Event& Add();
  Decision& decision() { return decision_; }
  // Drops all drafted events and answers with the error, as one line.
  void Refuse(const absl::Status& status);

  void SetJob(const std::string& job_id, v1::JobState state, const std::string& reason);
  // Puts the job back into the queue after the end of an attempt. The planner skips the job until
  // the backoff is over.
  void Requeue(const std::string& job_id, const std::string& reason,
               absl::Duration backoff = absl::ZeroDuration());
  // Moves the job to a terminal state. Jobs that wait for its output follow: they are queued if the
  // output exists, and fail otherwise.
  void EndJob(const v1::Job& job, v1::JobState state, const std::string& reason,
              const std::string& output_artifact_id);
  // `receipt` may be null. reached_step: the step of the newest checkpoint; 0: unknown. The event
  // is valid until the next one is added.
  v1::AttemptStateChanged& SetAttempt(const v1::Attempt& attempt, v1::AttemptState state,
                                      const std::string& reason, const v1::Receipt* receipt,
                                      int64_t reached_step = 0);
  // Ends an attempt that failed by its own job, as the coordinator found. Its receipt says why.
  void FailAttempt(const v1::Attempt& attempt, const std::string& why);
  // Retries the job after a failed attempt, or fails it, by class of failure. REQUIRES: the end of
  // the attempt is drafted already.
  void AfterFailure(const v1::Job& job, const AttemptFailure& failure, const std::string& message);

 private:
  void ResolveDependents(const v1::Job& job, const std::string& output_artifact_id);
  void FailDependents(const v1::Job& job, const std::string& why);

  const State& state_;
  const Observations& observations_;
  Instant now_;
  Decision decision_;
  std::set<std::string> ended_jobs_;  // jobs that this decision ends
};

// Name for people: "device", "link" …
std::string FailureClassName(v1::FailureClass failure_class);
// The device's name for people, or its id if it has no name.
std::string DeviceName(const State& state, const std::string& device_id);
// The job's attempt that has not ended; null if all have ended. A job has at most one.
const v1::Attempt* LiveAttempt(const v1::Job& job);

// One overload for each command; those of the short commands are in decide.cc.
void Decide(Draft& draft, const SubmitJob& command);
void Decide(Draft& draft, const WorkerReport& command);
void Decide(Draft& draft, const WorkerHello& command);
void Decide(Draft& draft, const Tick&);
void Decide(Draft& draft, const PlanComputed& command);
void Decide(Draft& draft, const ArchiveEnded& command);
void Decide(Draft& draft, const CommitArtifact& command);
// Signatures (signing.cc).
void Decide(Draft& draft, const SignArtifact& command);
void AddSignature(Draft& draft, const ArtifactId& artifact, const v1::ArtifactSignature& signature,
                  const std::string& by);
void Decide(Draft& draft, const RemoveDevice& command);
void Decide(Draft& draft, const RemoveArtifact& command);
void Decide(Draft& draft, const EvictArtifact& command);
// Rows of other fleets (imported_profiles.cc).
void Decide(Draft& draft, const ImportProfiles& command);
void Decide(Draft& draft, const RemoveImportedProfiles& command);
// Forecasts of the sun (forecasts.cc).
void Decide(Draft& draft, const PushForecast& command);
void Decide(Draft& draft, const RemoveForecast& command);
// Tokens and identities (enrolment.cc).
void Decide(Draft& draft, const CreateTokens& command);
void Decide(Draft& draft, const RevokeToken& command);
void Decide(Draft& draft, const HoldTokenUses& command);
void Decide(Draft& draft, const Enrol& command);
void Decide(Draft& draft, const ApproveDevice& command);
void Decide(Draft& draft, const HoldForApproval& command);
void Decide(Draft& draft, const RevokeIdentity& command);
// Ends or requeues the attempts of a device that may no longer fetch or upload.
void TakeWorkBack(Draft& draft, const DeviceId& device, absl::string_view why);
// A hello beside a live stream of the device (duplicate_identity.cc).
void RefuseRival(Draft& draft, const WorkerHello& command);
// Roots of the authority (rotation.cc).
void Decide(Draft& draft, const RenewIdentity& command);
void Decide(Draft& draft, const RotateRoot& command);
void Decide(Draft& draft, const RetireRoot& command);
void Decide(Draft& draft, const SetQuota& command);  // quota.cc
// Projects (projects.cc).
void Decide(Draft& draft, const SetProject& command);
void Decide(Draft& draft, const RemoveProject& command);
void Decide(Draft& draft, const SetMember& command);
// Upgrades (upgrades.cc).
void Decide(Draft& draft, const StartUpgrade& command);
void Decide(Draft& draft, const PauseUpgrade& command);
void Decide(Draft& draft, const ResumeUpgrade& command);
void Decide(Draft& draft, const AbortUpgrade& command);
void DecideUpgradeTick(Draft& draft);
// Returns the note of ReportAccepted: why nothing changed, or empty.
std::string DecideUpgradeEnded(Draft& draft, const DeviceId& device, const v1::UpgradeEnded& fact);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DRAFT_INTERNAL_H_
