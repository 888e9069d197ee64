// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/rotation.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/fault_point.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/enrolment.h"

namespace wattle::core {

std::vector<std::string> IdentitiesUnder(
    const State& state, const std::string& root_sha256,
    const std::function<std::string(const std::string& certificate_pem)>& root_of_certificate) {
  std::vector<std::string> names;
  for (const auto& [name, record] : state.identities) {
    if (record.revoked()) {
      continue;
    }
    const std::string root = record.root_sha256().empty()
                                 ? root_of_certificate(record.certificate_pem())
                                 : record.root_sha256();
    if (root == root_sha256 && !WATTLE_FAULT_POINT("left under the old root")) {
      names.push_back(name);
    }
  }
  return names;
}

// An identity without a record, for example after the restore of an older backup, is identified by
// its certificate and stays without a record.
void Decide(DecisionBuilder& builder, const RenewIdentity& command) {
  const v1::IdentityRecord* const known = FindIdentity(builder.state(), command.kind, command.id);
  if (known == nullptr) {
    return;
  }
  if (known->revoked()) {
    builder.Refuse(absl::PermissionDeniedError(
        absl::StrCat(command.kind, " ", command.id, " was revoked meanwhile")));
    return;
  }
  v1::IdentityRenewed& renewed = *builder.Add().mutable_identity_renewed();
  renewed.set_kind(command.kind);
  renewed.set_id(command.id);
  renewed.set_root_sha256(command.root_sha256);
  renewed.set_not_after_unix_seconds(ToUnix(command.not_after));
}

void Decide(DecisionBuilder& builder, const RotateRoot& command) {
  v1::AuthorityRotated& rotated = *builder.Add().mutable_authority_rotated();
  rotated.set_root_sha256(command.root_sha256);
  rotated.set_by(command.by);
}

void Decide(DecisionBuilder& builder, const RetireRoot& command) {
  v1::AuthorityRetired& retired = *builder.Add().mutable_authority_retired();
  retired.set_root_sha256(command.root_sha256);
  retired.set_by(command.by);
}

void Applier::On(const v1::IdentityRenewed& event) {
  v1::IdentityRecord& identity =
      state_.identities.Mutable(absl::StrCat(event.kind(), "/", event.id()));
  identity.set_root_sha256(event.root_sha256());
  identity.set_not_after_unix_seconds(event.not_after_unix_seconds());
}

}  // namespace wattle::core
