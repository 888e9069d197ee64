// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Makes, spends and revokes tokens and identities. Pure.
#include "coordinator/core/enrolment.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "base/constant_time.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/duplicate_identity.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/queueing.h"
#include "scheduler/profiles/without_device.h"

namespace wattle::core {
namespace {

constexpr size_t kIdCharactersMax = 64;

std::string IdentityKey(absl::string_view kind, absl::string_view id) {
  return absl::StrCat(kind, "/", id);
}

// The id from the token, or the device's own choice.
std::string EnrollingId(const v1::EnrolmentToken& token, const ShownToken& shown) {
  return token.kind() == kPersonKind ? token.person() : shown.device_id;
}

bool IsRepetition(const State& state, const v1::EnrolmentToken& token, const ShownToken& shown) {
  const v1::IdentityRecord* const known =
      FindIdentity(state, token.kind(), EnrollingId(token, shown));
  return known != nullptr && !known->revoked() && known->token_id() == token.token_id() &&
         known->signing_request_sha256() == shown.signing_request_sha256;
}

std::string ExpiryText(const v1::EnrolmentToken& token) {
  return absl::StrCat("expired at ",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC",
                                       FromUnix(token.expires_unix_seconds()), absl::UTCTimeZone()),
                      " by the coordinator's clock");
}

absl::Status ServiceRefusal(absl::string_view why) {
  return absl::UnauthenticatedError(absl::StrCat(
      "service token ", why, "; an admin makes another with 'wattle service token NAME'"));
}

absl::Status Refusal(absl::string_view id, absl::string_view why) {
  return absl::PermissionDeniedError(
      absl::StrCat("token ", id, ": ", why,
                   "; an operator makes another with 'wattle device token', or an admin with "
                   "'wattle person token'"));
}

}  // namespace

void TakeWorkBack(DecisionBuilder& builder, const DeviceId& device, absl::string_view why) {
  const std::string reason = absl::StrCat(DeviceName(builder.state(), device.value()), " ", why);
  for (const v1::Attempt* const attempt : AttemptsOn(builder.state(), device)) {
    builder.SetAttempt(*attempt, v1::ATTEMPT_STATE_SUPERSEDED, reason, nullptr);
    builder.Requeue(attempt->job_id(), reason);
  }
}

absl::Status CheckId(absl::string_view field, absl::string_view id) {
  const bool valid =
      !id.empty() && id.size() <= kIdCharactersMax && std::all_of(id.begin(), id.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
               c == '-';
      });
  return valid ? absl::OkStatus()
               : absl::InvalidArgumentError(absl::StrCat(field, ": \"", id.substr(0, 80),
                                                         "\", wanted 1 to ", kIdCharactersMax,
                                                         " letters, digits, '.', '_' or '-'"));
}

const v1::IdentityRecord* FindIdentity(const State& state, absl::string_view kind,
                                       absl::string_view id) {
  return state.identities.Find(IdentityKey(kind, id));
}

bool WaitsForApproval(const State& state, const DeviceId& device) {
  const v1::IdentityRecord* const known = FindIdentity(state, kDeviceKind, device.value());
  return known != nullptr && known->waits_for_approval();
}

bool IsRevoked(const State& state, const DeviceId& device) {
  const v1::IdentityRecord* const known = FindIdentity(state, kDeviceKind, device.value());
  return known != nullptr && known->revoked();
}

bool MayWork(const State& state, const DeviceId& device) {
  return !WaitsForApproval(state, device) && !IsRevoked(state, device);
}

absl::StatusOr<DeviceId> ResolveEnrolled(const State& state, absl::string_view reference) {
  return FindIdentity(state, kDeviceKind, reference) != nullptr ? DeviceId(std::string(reference))
                                                                : ResolveDevice(state, reference);
}

absl::StatusOr<v1::EnrolmentToken> CheckToken(const State& state, const ShownToken& shown,
                                              absl::Time now) {
  const v1::EnrolmentToken* const token = state.tokens.Find(shown.token_id);
  if (token == nullptr || !SameSecret(token->secret_sha256(), shown.secret_sha256)) {
    return absl::PermissionDeniedError(
        "token: this coordinator made none like it; copy it whole, or ask for another");
  }
  if (token->kind() == kServiceKind) {
    return Refusal(token->token_id(), "is a service's and enrols nobody");
  }
  if (IsRepetition(state, *token, shown)) {
    return *token;
  }
  if (token->revoked()) {
    return Refusal(token->token_id(), "was revoked");
  }
  if (token->used() >= token->uses()) {
    return Refusal(token->token_id(), absl::StrCat("was used ", token->used(), " of ",
                                                   token->uses(), " times already"));
  }
  if (now >= FromUnix(token->expires_unix_seconds())) {
    return Refusal(token->token_id(), ExpiryText(*token));
  }
  return *token;
}

absl::Status CheckTaker(const v1::EnrolmentToken& token, absl::string_view device_id) {
  const bool of_device = token.kind() == kDeviceKind;
  if (of_device != device_id.empty()) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "token ", token.token_id(), ": is a ", token.kind(), "'s, and is not spent; use it by '",
      of_device ? "wattle-worker enroll TOKEN' on the board" : "wattle login TOKEN'"));
}

absl::StatusOr<std::string> CheckServiceToken(const State& state, const std::string& token_id,
                                              absl::string_view secret_sha256, absl::Time now) {
  const v1::EnrolmentToken* const token = state.tokens.Find(token_id);
  if (token == nullptr || !SameSecret(token->secret_sha256(), secret_sha256)) {
    return ServiceRefusal("is none that this coordinator made");
  }
  if (token->kind() != kServiceKind) {
    return ServiceRefusal(absl::StrCat(token_id, " is a ", token->kind(),
                                       "'s, which enrols and reads nothing by itself"));
  }
  if (token->revoked()) {
    return ServiceRefusal(absl::StrCat(token_id, " of ", token->person(), " was revoked"));
  }
  if (now >= FromUnix(token->expires_unix_seconds())) {
    return ServiceRefusal(absl::StrCat(token_id, " of ", token->person(), " ", ExpiryText(*token)));
  }
  return token->person();
}

void Decide(DecisionBuilder& builder, const CreateTokens& command) {
  for (const v1::EnrolmentToken& token : command.tokens) {
    for (const std::string& project : token.projects()) {
      if (const absl::Status there = CheckProjectExists(builder.state(), "projects", project);
          !there.ok()) {
        builder.Refuse(there);
        return;
      }
    }
  }
  for (const v1::EnrolmentToken& token : command.tokens) {
    *builder.Add().mutable_token_created()->mutable_token() = token;
  }
}

void Decide(DecisionBuilder& builder, const HoldTokenUses& command) {
  const v1::EnrolmentToken* const token = builder.state().tokens.Find(command.token_id);
  if (token == nullptr || token->used() >= command.used) {
    return;
  }
  // The event of a new token with updated uses replaces the token.
  v1::EnrolmentToken& used = *builder.Add().mutable_token_created()->mutable_token();
  used = *token;
  used.set_used(std::min(command.used, token->uses()));
}

void Decide(DecisionBuilder& builder, const RevokeToken& command) {
  const v1::EnrolmentToken* const token = builder.state().tokens.Find(command.token_id);
  if (token == nullptr) {
    builder.Refuse(absl::NotFoundError(absl::StrCat(
        "no token \"", command.token_id, "\"; 'wattle events' tells the id of each token")));
    return;
  }
  // Only operators admit boards; the permission to admit also allows ending the token.
  if (token->kind() != kDeviceKind && !command.by_admin) {
    builder.Refuse(absl::PermissionDeniedError(
        absl::StrCat("token ", command.token_id, ": is a ", token->kind(),
                     "'s, which an admin ends; an operator ends tokens of boards")));
    return;
  }
  if (token->revoked()) {
    builder.Refuse(absl::AlreadyExistsError(
        absl::StrCat("the token ", command.token_id, " was revoked already")));
    return;
  }
  v1::TokenRevoked& revoked = *builder.Add().mutable_token_revoked();
  revoked.set_token_id(command.token_id);
  revoked.set_by(command.by);
}

void Decide(DecisionBuilder& builder, const Enrol& command) {
  const ShownToken shown = {command.identity.token_id(), command.secret_sha256,
                            command.identity.signing_request_sha256(), command.identity.id()};
  const absl::StatusOr<v1::EnrolmentToken> token =
      CheckToken(builder.state(), shown, builder.now().wall);
  if (!token.ok()) {
    builder.Refuse(token.status());
    return;
  }
  v1::IdentityRecord identity = command.identity;
  identity.set_kind(token->kind());
  identity.set_id(EnrollingId(*token, shown));
  identity.set_role(token->role());
  *identity.mutable_labels() = token->labels();
  // A project may have been removed since the token was made.
  identity.clear_projects();
  for (const std::string& project : token->projects()) {
    if (ProjectExists(builder.state(), project)) {
      identity.add_projects(project);
    }
  }
  if (token->projects_size() > 0 && identity.projects().empty()) {
    builder.Refuse(Refusal(token->token_id(), "its projects were removed"));
    return;
  }
  identity.set_waits_for_approval(token->kind() == kDeviceKind && token->approve());
  identity.set_enrolled_unix_seconds(ToUnix(builder.now().wall));
  if (const absl::Status valid = CheckId("device_id", identity.id()); !valid.ok()) {
    builder.Refuse(valid);
    return;
  }
  builder.decision().id = identity.id();
  if (IsRepetition(builder.state(), *token, shown)) {
    builder.decision().existed = true;
    return;
  }
  const v1::IdentityRecord* const known =
      FindIdentity(builder.state(), identity.kind(), identity.id());
  if (known != nullptr) {
    const bool same_key = known->public_key_sha256() == identity.public_key_sha256();
    if (known->revoked() && same_key) {
      builder.Refuse(absl::PermissionDeniedError(absl::StrCat(
          identity.kind(), " ", identity.id(),
          ": this key was revoked; remove the folder \"credentials\" there, so that a new key is "
          "made, and enrol by a new token")));
      return;
    }
    // A person's later login replaces the earlier one. A device's key can be replaced only after
    // the earlier one is revoked: otherwise a token would suffice to take a board over.
    if (!known->revoked() && !same_key && identity.kind() == kDeviceKind) {
      builder.Refuse(absl::PermissionDeniedError(
          absl::StrCat("device ", identity.id(),
                       ": has enrolled with another key; if that key is lost: 'wattle device "
                       "revoke ",
                       identity.id(), "', then enrol again")));
      return;
    }
  }
  const bool waits = identity.waits_for_approval();
  const DeviceId device(identity.id());
  *builder.Add().mutable_identity_enrolled()->mutable_identity() = std::move(identity);
  if (waits) {
    TakeWorkBack(builder, device, "enrolled anew, to be approved");
  }
}

void Decide(DecisionBuilder& builder, const ApproveDevice& command) {
  const std::string& id = command.device.value();
  const v1::IdentityRecord* const known = FindIdentity(builder.state(), kDeviceKind, id);
  if (known == nullptr) {
    builder.Refuse(absl::NotFoundError(absl::StrCat("no device \"", id, "\" enrolled by a token")));
    return;
  }
  builder.decision().id = id;
  if (known->revoked()) {
    builder.Refuse(absl::FailedPreconditionError(
        absl::StrCat("device ", id,
                     " was revoked; an operator lets it in again by a new token of 'wattle "
                     "device token'")));
    return;
  }
  if (!known->waits_for_approval()) {
    return;  // A repeated request succeeds.
  }
  v1::DeviceApproved& approved = *builder.Add().mutable_device_approved();
  approved.set_device_id(id);
  approved.set_by(command.by);
}

void Decide(DecisionBuilder& builder, const HoldForApproval& command) {
  const DeviceId device(command.identity.id());
  builder.decision().id = device.value();
  if (WaitsForApproval(builder.state(), device)) {
    return;
  }
  v1::IdentityRecord identity = command.identity;
  identity.set_waits_for_approval(true);
  if (!builder.state().tokens.contains(identity.token_id())) {
    identity.clear_token_id();  // Made after the backup: it can no longer be spent.
  }
  *builder.Add().mutable_identity_enrolled()->mutable_identity() = std::move(identity);
  TakeWorkBack(builder, device, "waits for approval again");
}

void Decide(DecisionBuilder& builder, const RevokeIdentity& command) {
  const bool is_device = command.kind == kDeviceKind;
  const v1::IdentityRecord* const known = FindIdentity(builder.state(), command.kind, command.id);
  if (known == nullptr && !command.also_unknown &&
      (!is_device || FindDevice(builder.state(), DeviceId(command.id)) == nullptr)) {
    builder.Refuse(
        absl::NotFoundError(absl::StrCat("no ", command.kind, " \"", command.id, "\" enrolled")));
    return;
  }
  builder.decision().id = command.id;
  if (known != nullptr && known->revoked()) {
    return;
  }
  v1::IdentityRevoked& revoked = *builder.Add().mutable_identity_revoked();
  revoked.set_kind(command.kind);
  revoked.set_id(command.id);
  revoked.set_reason(command.reason);
  revoked.set_by(command.by);
  if (!is_device) {
    return;
  }
  TakeWorkBack(builder, DeviceId(command.id), "was revoked");
  const std::vector<v1::ProfileRow> remain =
      scheduler::RowsThatRemain(builder.state().profiles, command.id, command.since);
  if (!remain.empty()) {
    builder.Add().mutable_profile_updated()->mutable_rows()->Assign(remain.begin(), remain.end());
  }
}

void Applier::On(const v1::TokenCreated& event) {
  state_.tokens.Mutable(event.token().token_id()) = event.token();
}

void Applier::On(const v1::TokenRevoked& event) {
  state_.tokens.Mutable(event.token_id()).set_revoked(true);
}

void Applier::On(const v1::IdentityEnrolled& event) {
  const v1::IdentityRecord& identity = event.identity();
  state_.identities.Mutable(IdentityKey(identity.kind(), identity.id())) = identity;
  if (!identity.token_id().empty()) {
    v1::EnrolmentToken& token = state_.tokens.Mutable(identity.token_id());
    token.set_used(token.used() + 1);
  }
  if (identity.kind() == kDeviceKind) {
    ForgetDoubling(DeviceId(identity.id()));
  }
  if (identity.waits_for_approval()) {
    ApprovalChanged(DeviceId(identity.id()));
  }
}

void Applier::On(const v1::DeviceApproved& event) {
  state_.identities.Mutable(IdentityKey(kDeviceKind, event.device_id()))
      .set_waits_for_approval(false);
  ForgetDoubling(DeviceId(event.device_id()));
  ApprovalChanged(DeviceId(event.device_id()));
}

void Applier::On(const v1::DeviceDoubled& event) {
  const DeviceId device(event.device_id());
  state_.identities.Mutable(IdentityKey(kDeviceKind, event.device_id()))
      .set_waits_for_approval(true);
  state_.devices.Mutable(device).set_problem(event.reason());
  ApprovalChanged(device);
}

void Applier::ForgetDoubling(const DeviceId& device) {
  const v1::DeviceRecord* const record = FindDevice(state_, device);
  if (record != nullptr && IsDuplicateIdentityProblem(record->problem())) {
    state_.devices.Mutable(device).clear_problem();
  }
}

// The device's right to work changed: older plans do not count for it any more.
void Applier::ApprovalChanged(const DeviceId& device) {
  state_.device_changed.Mutable(device) = sequence_;
  effects_.emplace_back(DesiredSetChanged{device});
  effects_.emplace_back(QueueChanged{});
}

void Applier::On(const v1::IdentityRevoked& event) {
  v1::IdentityRecord& identity = state_.identities.Mutable(IdentityKey(event.kind(), event.id()));
  identity.set_kind(event.kind());
  identity.set_id(event.id());
  identity.set_revoked(true);
  identity.set_revoked_reason(event.reason());
  if (event.kind() == kDeviceKind) {
    ForgetTaughtBy(DeviceId(event.id()));
    ApprovalChanged(DeviceId(event.id()));
  }
}

// The next event has the rows that remain.
void Applier::ForgetTaughtBy(const DeviceId& device) {
  state_.profiles = scheduler::WithoutDevice(state_.profiles, device.value());
  if (const v1::DeviceRecord* const known = FindDevice(state_, device); known != nullptr) {
    state_.profiles.mutable_rates().Remove(known->info());
    state_.devices.Mutable(device).mutable_info()->clear_rates();
  }
  effects_.emplace_back(QueueChanged{});
}

}  // namespace wattle::core
