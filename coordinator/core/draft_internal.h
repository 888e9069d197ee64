// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A decision in the making: numbers and dates events, and knows the transitions that several
// commands share. Private to coordinator/core. Lives for one call of Decide.
#ifndef WATTLE_COORDINATOR_CORE_DRAFT_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_DRAFT_INTERNAL_H_

#include <cstdint>
#include <set>
#include <string>

#include "absl/status/status.h"
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
  // Drops what was drafted and answers with the error.
  void Refuse(absl::Status status);

  void SetJob(const std::string& job_id, v1::JobState state, const std::string& reason);
  // Back into the queue after an attempt ended; it is not planned before the backoff is over.
  void Requeue(const std::string& job_id, const std::string& reason,
               absl::Duration backoff = absl::ZeroDuration());
  // To a terminal state. Jobs that wait for its output follow: they are queued, or fail with it.
  void EndJob(const v1::Job& job, v1::JobState state, const std::string& reason,
              const std::string& output_artifact_id);
  // `receipt` may be null; reached_step: of the newest checkpoint, 0: not told.
  void SetAttempt(const v1::Attempt& attempt, v1::AttemptState state, const std::string& reason,
                  const v1::Receipt* receipt, int64_t reached_step = 0);
  // After an attempt of the job failed: repeat it or give up, by class of failure. The attempt's
  // own end is already drafted.
  void AfterFailure(const v1::Job& job, const AttemptFailure& failure, const std::string& message);

 private:
  void ResolveDependents(const v1::Job& job, const std::string& output_artifact_id);
  void FailDependents(const v1::Job& job, const std::string& why);

  const State& state_;
  const Observations& observations_;
  Instant now_;
  Decision decision_;
  std::set<std::string> ended_jobs_;  // by this decision
};

// "device", "link" …; for reasons.
std::string FailureClassName(v1::FailureClass failure_class);
// The device's name, for people; its id where it has none.
std::string DeviceName(const State& state, const std::string& device_id);
// The attempt that is not terminal; null where there is none. At most one is.
const v1::Attempt* LiveAttempt(const v1::Job& job);

// The commands, each in the file of its name.
void DecideSubmit(Draft& draft, const SubmitJob& command);
void DecideReport(Draft& draft, const WorkerReport& command);
void DecideHello(Draft& draft, const WorkerHello& command);
void DecideTick(Draft& draft);
void DecidePlan(Draft& draft, const PlanComputed& command);
void DecideArchive(Draft& draft, const ArchiveEnded& command);
void DecideCommitArtifact(Draft& draft, const CommitArtifact& command);
void DecideRemoveDevice(Draft& draft, const RemoveDevice& command);
void DecideRemoveArtifact(Draft& draft, const RemoveArtifact& command);
void DecideEvict(Draft& draft, const EvictArtifact& command);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DRAFT_INTERNAL_H_
