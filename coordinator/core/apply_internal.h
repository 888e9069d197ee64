// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Applies one event to the state. Private to coordinator/core: Apply (core.h) is the entry.
#ifndef WATTLE_COORDINATOR_CORE_APPLY_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_APPLY_INTERNAL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "coordinator/core/core.h"
#include "coordinator/core/state.h"

namespace wattle::core {

class Applier {
 public:
  Applier(State& state, const v1::Event& event, std::optional<Monotonic> now)
      : state_(state), sequence_(event.sequence()), at_(event.at_unix_seconds()), now_(now) {}

  // Jobs and attempts (apply_job.cc).
  void On(const v1::JobSubmitted& event);
  void On(const v1::JobStateChanged& event);
  void On(const v1::JobInputResolved& event);
  void On(const v1::AttemptPlaced& event);
  void On(const v1::AttemptRecovered& event);
  void On(const v1::AttemptReleased& event);
  void On(const v1::JobCheckpointStored& event);
  void On(const v1::AttemptStateChanged& event);
  void On(const v1::AttemptAdopted& event);
  void On(const v1::JobArchived& event);

  // Journal, devices, policies, artifacts and profiles (apply_fleet.cc).
  void On(const v1::JournalOpened& event);
  void On(const v1::RestoreFinding& event);
  void On(const v1::DeviceProblemChanged& event);
  void On(const v1::DeviceRegistered& event);
  void On(const v1::DeviceDrained& event);
  void On(const v1::DeviceResumed& event);
  void On(const v1::DeviceRemoved& event);
  void On(const v1::ReportAccepted& event);
  void On(const v1::LedgerRecorded& event);
  void On(const v1::PolicyApplied& event);
  void On(const v1::PolicyDeleted& event);
  void On(const v1::ArtifactCommitted& event);
  void On(const v1::ArtifactRemoved& event);
  void On(const v1::ModelMeasured& event);
  void On(const v1::ProfileUpdated& event);
  void On(const v1::ProfilesImported& event);
  void On(const v1::ImportedProfilesRemoved& event);

  // Tokens and identities (enrolment.cc).
  void On(const v1::TokenCreated& event);
  void On(const v1::TokenRevoked& event);
  void On(const v1::IdentityEnrolled& event);
  void On(const v1::IdentityRevoked& event);
  void On(const v1::DeviceApproved& event);
  void On(const v1::DeviceDoubled& event);

  void On(const v1::IdentityRenewed& event);  // rotation.cc
  void On(const v1::ArtifactSigned& event);   // signing.cc

  // Projects (projects.cc).
  void On(const v1::ProjectSet& event);
  void On(const v1::ProjectRemoved& event);
  void On(const v1::MemberSet& event);

  void On(const v1::QuotaSet& event);        // quota.cc
  void On(const v1::ForecastPushed& event);  // forecasts.cc
  void On(const v1::ForecastRemoved& event);

  // Upgrades (upgrades.cc).
  void On(const v1::UpgradeStarted& event);
  void On(const v1::UpgradeStageBegan& event);
  void On(const v1::DeviceUpgradeChanged& event);
  void On(const v1::UpgradeStateChanged& event);

  // Kept only in the journal, for versions that use the fact.
  void On(const v1::ReportStored& /*event*/) {}
  // Kept only for the audit: the authority's folder holds the roots, and a refusal changes nothing.
  void On(const v1::AuthorityRotated& /*event*/) {}
  void On(const v1::AuthorityRetired& /*event*/) {}
  void On(const v1::RefusalsCounted& /*event*/) {}

  // Ends the program.
  void On(std::monostate fact);  // apply.cc

  std::vector<Effect> TakeEffects() { return std::move(effects_); }

 private:
  void Changed(int64_t job_number);
  void ApprovalChanged(const DeviceId& device);
  void ForgetDoubling(const DeviceId& device);
  void ForgetTaughtBy(const DeviceId& device);
  void NotePause(const DeviceId& device, absl::Duration pause);
  void NoteRun(const v1::Attempt& attempt, const v1::AttemptStateChanged& event);
  void NoteUpgradeTime(const DeviceId& device);
  void SetDrained(const std::string& device_id, bool drained, const std::string& reason);
  // For a new policy `before` is empty and selects no device.
  void PolicyChanged(const v1::Policy& before, const v1::Policy& after);
  // An event of version 0.1 has only the wall-clock time of the backoff's end.
  [[nodiscard]] double BackoffSeconds(const v1::JobStateChanged& event) const;

  State& state_;
  SequenceNumber sequence_;
  double at_;
  std::optional<Monotonic> now_;
  std::vector<Effect> effects_;
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_APPLY_INTERNAL_H_
