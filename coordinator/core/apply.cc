// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Apply: changes the state as an event says, and nothing else. The meaning of an event never
// changes; a new rule is a new event.
#include <optional>
#include <vector>

#include "base/check.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"

namespace wattle::core {

// NOLINTNEXTLINE(readability-function-size): a case of three lines for each event
std::vector<Effect> Apply(State& state, const v1::Event& event, std::optional<Monotonic> now) {
  WATTLE_CHECK(event.sequence() == state.last_sequence.value() + 1, "events have no gaps");
  state.last_sequence = SequenceNumber(event.sequence());
  Applier applier(state, event, now);
  switch (event.event_case()) {
    case v1::Event::kJobSubmitted:
      applier.On(event.job_submitted());
      break;
    case v1::Event::kJobStateChanged:
      applier.On(event.job_state_changed());
      break;
    case v1::Event::kJobInputResolved:
      applier.On(event.job_input_resolved());
      break;
    case v1::Event::kAttemptPlaced:
      applier.On(event.attempt_placed());
      break;
    case v1::Event::kAttemptStateChanged:
      applier.On(event.attempt_state_changed());
      break;
    case v1::Event::kAttemptAdopted:
      applier.On(event.attempt_adopted());
      break;
    case v1::Event::kJobArchived:
      applier.On(event.job_archived());
      break;
    case v1::Event::kDeviceRegistered:
      applier.On(event.device_registered());
      break;
    case v1::Event::kDeviceDrained:
      applier.On(event.device_drained());
      break;
    case v1::Event::kDeviceResumed:
      applier.On(event.device_resumed());
      break;
    case v1::Event::kReportAccepted:
      applier.On(event.report_accepted());
      break;
    case v1::Event::kLedgerRecorded:
      applier.On(event.ledger_recorded());
      break;
    case v1::Event::kPolicyApplied:
      applier.On(event.policy_applied());
      break;
    case v1::Event::kPolicyDeleted:
      applier.On(event.policy_deleted());
      break;
    case v1::Event::kArtifactCommitted:
      applier.On(event.artifact_committed());
      break;
    case v1::Event::kDeviceRemoved:
      applier.On(event.device_removed());
      break;
    case v1::Event::kArtifactRemoved:
      applier.On(event.artifact_removed());
      break;
    case v1::Event::kProfileUpdated:
      applier.On(event.profile_updated());
      break;
    case v1::Event::kProfilesImported:
      applier.On(event.profiles_imported());
      break;
    case v1::Event::kImportedProfilesRemoved:
      applier.On(event.imported_profiles_removed());
      break;
    case v1::Event::kAttemptRecovered:
      applier.On(event.attempt_recovered());
      break;
    case v1::Event::kAttemptReleased:
      applier.On(event.attempt_released());
      break;
    case v1::Event::kDeviceProblemChanged:
      applier.On(event.device_problem_changed());
      break;
    case v1::Event::kJobCheckpointStored:
      applier.On(event.job_checkpoint_stored());
      break;
    case v1::Event::kJournalOpened:
      applier.On(event.journal_opened());
      break;
    case v1::Event::kModelMeasured:
      applier.On(event.model_measured());
      break;
    case v1::Event::kReportStored:
      break;  // Kept in the journal alone, for a version that knows the fact.
    case v1::Event::kRestoreFinding:
      applier.On(event.restore_finding());
      break;
    case v1::Event::kTokenCreated:
      applier.On(event.token_created());
      break;
    case v1::Event::kTokenRevoked:
      applier.On(event.token_revoked());
      break;
    case v1::Event::kIdentityEnrolled:
      applier.On(event.identity_enrolled());
      break;
    case v1::Event::kIdentityRevoked:
      applier.On(event.identity_revoked());
      break;
    case v1::Event::kDeviceApproved:
      applier.On(event.device_approved());
      break;
    case v1::Event::kDeviceDoubled:
      applier.On(event.device_doubled());
      break;
    case v1::Event::kIdentityRenewed:
      applier.On(event.identity_renewed());
      break;
    case v1::Event::kAuthorityRotated:
    case v1::Event::kAuthorityRetired:
      break;  // For the audit: the authority's folder tells which roots there are.
    case v1::Event::kRefusalsCounted:
      break;  // For the audit: what was refused changed nothing.
    case v1::Event::kQuotaSet:
      applier.On(event.quota_set());
      break;
    case v1::Event::kArtifactSigned:
      applier.On(event.artifact_signed());
      break;
    case v1::Event::kForecastPushed:
      applier.On(event.forecast_pushed());
      break;
    case v1::Event::kForecastRemoved:
      applier.On(event.forecast_removed());
      break;
    case v1::Event::kProjectSet:
      applier.On(event.project_set());
      break;
    case v1::Event::kProjectRemoved:
      applier.On(event.project_removed());
      break;
    case v1::Event::kMemberSet:
      applier.On(event.member_set());
      break;
    case v1::Event::kUpgradeStarted:
      applier.On(event.upgrade_started());
      break;
    case v1::Event::kUpgradeStageBegan:
      applier.On(event.upgrade_stage_began());
      break;
    case v1::Event::kDeviceUpgradeChanged:
      applier.On(event.device_upgrade_changed());
      break;
    case v1::Event::kUpgradeStateChanged:
      applier.On(event.upgrade_state_changed());
      break;
    case v1::Event::EVENT_NOT_SET:
      // The event is from a newer version. The journal's schema version prevents its replay here.
      WATTLE_CHECK(false, "an event says what happened");
  }
  return applier.TakeEffects();
}

}  // namespace wattle::core
