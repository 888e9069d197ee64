// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/audited_events.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wattle {

const std::vector<std::string>& AuditedKinds() {
  static const auto& kinds = *new std::vector<std::string>{
      "job_submitted",
      "device_drained",
      "device_resumed",
      "device_removed",
      "policy_applied",
      "policy_deleted",
      "artifact_committed",
      "artifact_removed",
      "artifact_signed",
      "profiles_imported",
      "imported_profiles_removed",
      "forecast_pushed",
      "forecast_removed",
      "journal_opened",
      "token_created",
      "token_revoked",
      "identity_enrolled",
      "identity_renewed",
      "identity_revoked",
      "device_approved",
      "device_doubled",
      "authority_rotated",
      "authority_retired",
      "quota_set",
      "project_set",
      "project_removed",
      "member_set",
      "upgrade_started",
      "upgrade_state_changed",
  };
  return kinds;
}

bool IsRefusal(absl::string_view kind) {
  return kind == kCallRefused || kind == kRefusalsCounted;
}

bool IsAudited(absl::string_view kind) {
  const std::vector<std::string>& kinds = AuditedKinds();
  return IsRefusal(kind) || std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

bool IsOfDailyWork(absl::string_view kind) {
  return kind == "job_submitted" || kind == "artifact_committed" || kind == "artifact_removed" ||
         kind == "artifact_signed";
}

std::string AuditText(const v1::FleetEvent& event) {
  std::string text = event.text();
  if (!event.caller().empty() || !event.caller_address().empty()) {
    absl::StrAppend(&text, ";");
  }
  if (!event.caller().empty()) {
    absl::StrAppend(&text, " ", event.caller());
  }
  if (!event.caller_address().empty()) {
    absl::StrAppend(&text, " from ", event.caller_address());
  }
  return text;
}

}  // namespace wattle
