// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Passes what an event says to the overload for its type, so that whoever reads events writes one
// overload for each kind and no switch. The only list of all kinds; the compiler says which one is
// missing here (-Wswitch), or in a visitor.
#ifndef WATTLE_PROTO_VISIT_EVENT_H_
#define WATTLE_PROTO_VISIT_EVENT_H_

#include <variant>

#include "wattle/v1/journal.pb.h"

namespace wattle {

// Returns visit(fact), where the fact is the event's JobSubmitted, AttemptPlaced …, or
// std::monostate for an event without one, such as an event of a newer version.
template <typename Visitor>
auto VisitEvent(const v1::Event& event, const Visitor& visit) {
#define WATTLE_FACT(Case, field) \
  case v1::Event::Case:          \
    return visit(event.field())
  switch (event.event_case()) {
    WATTLE_FACT(kJobSubmitted, job_submitted);
    WATTLE_FACT(kJobStateChanged, job_state_changed);
    WATTLE_FACT(kJobInputResolved, job_input_resolved);
    WATTLE_FACT(kAttemptPlaced, attempt_placed);
    WATTLE_FACT(kAttemptStateChanged, attempt_state_changed);
    WATTLE_FACT(kAttemptAdopted, attempt_adopted);
    WATTLE_FACT(kAttemptRecovered, attempt_recovered);
    WATTLE_FACT(kJobCheckpointStored, job_checkpoint_stored);
    WATTLE_FACT(kJobArchived, job_archived);
    WATTLE_FACT(kAttemptReleased, attempt_released);
    WATTLE_FACT(kDeviceRegistered, device_registered);
    WATTLE_FACT(kDeviceDrained, device_drained);
    WATTLE_FACT(kDeviceResumed, device_resumed);
    WATTLE_FACT(kReportAccepted, report_accepted);
    WATTLE_FACT(kLedgerRecorded, ledger_recorded);
    WATTLE_FACT(kDeviceRemoved, device_removed);
    WATTLE_FACT(kReportStored, report_stored);
    WATTLE_FACT(kDeviceProblemChanged, device_problem_changed);
    WATTLE_FACT(kPolicyApplied, policy_applied);
    WATTLE_FACT(kPolicyDeleted, policy_deleted);
    WATTLE_FACT(kArtifactCommitted, artifact_committed);
    WATTLE_FACT(kProfileUpdated, profile_updated);
    WATTLE_FACT(kArtifactRemoved, artifact_removed);
    WATTLE_FACT(kProfilesImported, profiles_imported);
    WATTLE_FACT(kImportedProfilesRemoved, imported_profiles_removed);
    WATTLE_FACT(kForecastPushed, forecast_pushed);
    WATTLE_FACT(kForecastRemoved, forecast_removed);
    WATTLE_FACT(kArtifactSigned, artifact_signed);
    WATTLE_FACT(kJournalOpened, journal_opened);
    WATTLE_FACT(kRestoreFinding, restore_finding);
    WATTLE_FACT(kModelMeasured, model_measured);
    WATTLE_FACT(kTokenCreated, token_created);
    WATTLE_FACT(kTokenRevoked, token_revoked);
    WATTLE_FACT(kIdentityEnrolled, identity_enrolled);
    WATTLE_FACT(kIdentityRevoked, identity_revoked);
    WATTLE_FACT(kDeviceApproved, device_approved);
    WATTLE_FACT(kQuotaSet, quota_set);
    WATTLE_FACT(kIdentityRenewed, identity_renewed);
    WATTLE_FACT(kAuthorityRotated, authority_rotated);
    WATTLE_FACT(kAuthorityRetired, authority_retired);
    WATTLE_FACT(kProjectSet, project_set);
    WATTLE_FACT(kProjectRemoved, project_removed);
    WATTLE_FACT(kMemberSet, member_set);
    WATTLE_FACT(kUpgradeStarted, upgrade_started);
    WATTLE_FACT(kUpgradeStageBegan, upgrade_stage_began);
    WATTLE_FACT(kDeviceUpgradeChanged, device_upgrade_changed);
    WATTLE_FACT(kUpgradeStateChanged, upgrade_state_changed);
    WATTLE_FACT(kDeviceDoubled, device_doubled);
    WATTLE_FACT(kRefusalsCounted, refusals_counted);
    case v1::Event::EVENT_NOT_SET:
      break;
  }
#undef WATTLE_FACT
  return visit(std::monostate());
}

}  // namespace wattle

#endif  // WATTLE_PROTO_VISIT_EVENT_H_
