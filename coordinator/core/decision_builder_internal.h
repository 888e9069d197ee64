// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A decision under construction. DecisionBuilder numbers and dates the events, and has the
// transitions that several commands share. A DecisionBuilder lives for one call of Decide. Private
// to coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_DECISION_BUILDER_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_DECISION_BUILDER_INTERNAL_H_

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

class DecisionBuilder {
 public:
  DecisionBuilder(const State& state, const Observations& observations, const Instant& now)
      : state_(state), observations_(observations), now_(now) {}
  DecisionBuilder(const DecisionBuilder&) = delete;
  DecisionBuilder& operator=(const DecisionBuilder&) = delete;

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
void Decide(DecisionBuilder& builder, const SubmitJob& command);
void Decide(DecisionBuilder& builder, const WorkerReport& command);
void Decide(DecisionBuilder& builder, const WorkerHello& command);
void Decide(DecisionBuilder& builder, const Tick&);
void Decide(DecisionBuilder& builder, const PlanComputed& command);
void Decide(DecisionBuilder& builder, const ArchiveEnded& command);
void Decide(DecisionBuilder& builder, const CommitArtifact& command);
// Signatures (signing.cc).
void Decide(DecisionBuilder& builder, const SignArtifact& command);
void AddSignature(DecisionBuilder& builder, const ArtifactId& artifact,
                  const v1::ArtifactSignature& signature, const std::string& by);
void Decide(DecisionBuilder& builder, const RemoveDevice& command);
void Decide(DecisionBuilder& builder, const RemoveArtifact& command);
void Decide(DecisionBuilder& builder, const EvictArtifact& command);
// Rows of other fleets (imported_profiles.cc).
void Decide(DecisionBuilder& builder, const ImportProfiles& command);
void Decide(DecisionBuilder& builder, const RemoveImportedProfiles& command);
// Forecasts of the sun (forecasts.cc).
void Decide(DecisionBuilder& builder, const PushForecast& command);
void Decide(DecisionBuilder& builder, const RemoveForecast& command);
// Tokens and identities (enrolment.cc).
void Decide(DecisionBuilder& builder, const CreateTokens& command);
void Decide(DecisionBuilder& builder, const RevokeToken& command);
void Decide(DecisionBuilder& builder, const HoldTokenUses& command);
void Decide(DecisionBuilder& builder, const Enrol& command);
void Decide(DecisionBuilder& builder, const ApproveDevice& command);
void Decide(DecisionBuilder& builder, const HoldForApproval& command);
void Decide(DecisionBuilder& builder, const RevokeIdentity& command);
// Ends or requeues the attempts of a device that may no longer fetch or upload.
void TakeWorkBack(DecisionBuilder& builder, const DeviceId& device, absl::string_view why);
// A hello beside a live stream of the device (duplicate_identity.cc).
void RefuseRival(DecisionBuilder& builder, const WorkerHello& command);
// Roots of the authority (rotation.cc).
void Decide(DecisionBuilder& builder, const RenewIdentity& command);
void Decide(DecisionBuilder& builder, const RotateRoot& command);
void Decide(DecisionBuilder& builder, const RetireRoot& command);
void Decide(DecisionBuilder& builder, const SetQuota& command);  // quota.cc
// Projects (projects.cc).
void Decide(DecisionBuilder& builder, const SetProject& command);
void Decide(DecisionBuilder& builder, const RemoveProject& command);
void Decide(DecisionBuilder& builder, const SetMember& command);
// Upgrades (upgrades.cc).
void Decide(DecisionBuilder& builder, const StartUpgrade& command);
void Decide(DecisionBuilder& builder, const PauseUpgrade& command);
void Decide(DecisionBuilder& builder, const ResumeUpgrade& command);
void Decide(DecisionBuilder& builder, const AbortUpgrade& command);
void DecideUpgradeTick(DecisionBuilder& builder);
// Returns the note of ReportAccepted: why nothing changed, or empty.
std::string DecideUpgradeEnded(DecisionBuilder& builder, const DeviceId& device,
                               const v1::UpgradeEnded& fact);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DECISION_BUILDER_INTERNAL_H_
