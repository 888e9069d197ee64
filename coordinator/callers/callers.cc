// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/callers.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/address_share.h"
#include "base/status_macros.h"
#include "base/tls/token.h"
#include "coordinator/core/command.h"
#include "coordinator/core/enrolment.h"

namespace wattle::callers {
namespace {

constexpr char kRenew[] = "/wattle.v1.AccessService/Renew";
constexpr size_t kKnownMax = 20'000;
constexpr char kWhoGives[] = "an admin gives roles with 'wattle person token NAME --role ROLE'";

std::string Text(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

std::string WhyOfAge(const Caller& caller, core::CertificateAge age, absl::Time now) {
  const std::string whose =
      absl::StrCat("the certificate of ", caller.kind, " ", caller.identity.id);
  constexpr char kOnlyThat[] = "it may be renewed, and only that";
  return age == core::CertificateAge::kNotYet
             ? absl::StrCat(whose, " begins at ", Text(caller.validity.begins),
                            ", and the coordinator's clock says ", Text(now),
                            "; set the coordinator's clock; where that is right, ", kOnlyThat)
             : absl::StrCat(whose, " expired at ", Text(caller.validity.ends), "; ",
                            age == core::CertificateAge::kExpired ? kOnlyThat
                                                                  : "enrol again by a new token");
}

}  // namespace

access::Identity IdentityOf(std::string id, std::set<access::Role> roles) {
  return {.id = std::move(id),
          .roles = std::move(roles),
          .projects = {kDefaultProject},
          .how_to_get_a_role = kWhoGives};
}

absl::Status SetOwner(const Caller& caller, v1::JobSpec& spec) {
  if (caller.kind == kAnybody) {
    return absl::OkStatus();
  }
  if (!spec.owner().empty() && spec.owner() != caller.identity.id) {
    return absl::PermissionDeniedError(
        absl::StrCat("owner: \"", spec.owner(), "\", and you are ", caller.identity.id,
                     "; leave the field out, a job belongs to whoever submits it"));
  }
  spec.set_owner(caller.identity.id);
  return absl::OkStatus();
}

void JournalRefusals(RefusedCalls& refused, runtime::Runtime& runtime, absl::Duration age_min) {
  refused.KeepCounts(
      runtime.Now(),
      [&runtime](const v1::RefusalsCounted& counted) {
        return runtime.Post(core::CountRefusals{counted}, nullptr).ok();
      },
      age_min);
}

core::Scope ScopeOf(const Caller& caller, absl::string_view method) {
  access::Resource nobodys_project;
  if (caller.kind == core::kDeviceKind) {
    nobodys_project.device = caller.identity.id;
  }
  return access::Decide(caller.identity, method, nobodys_project).ok()
             ? core::Scope::All()
             : core::Scope::Of(caller.identity.projects);
}

std::string OwnDeviceOf(const Caller& caller, absl::string_view method) {
  const bool gets_all = access::Decide(caller.identity, method, {}).ok();
  return caller.kind == core::kDeviceKind && !gets_all ? caller.identity.id : "";
}

std::string StrangerAt(const std::string& host) {
  return absl::StrCat("address ", ShareOfHost(host));
}

std::string Caller::counted() const {
  const bool is_known = !uri.empty() || kind == core::kServiceKind;
  return is_known ? absl::StrCat(kind, " ", identity.id) : "";
}

v1::EventCaller Caller::At(std::string address) const {
  v1::EventCaller caller;
  if (kind == runtime::kLocalUser) {
    caller.set_identity(kind);
  } else if (kind != kAnybody) {  // An unproved caller has no name here.
    caller.set_identity(absl::StrCat(kind, " ", identity.id));
  }
  caller.set_address(std::move(address));
  return caller;
}

Caller Callers::Anybody() {
  return {.identity = IdentityOf("", {access::Role::kAdmin, access::Role::kWorker}),
          .kind = kAnybody};
}

Caller Callers::Local() {
  return {.identity = IdentityOf(runtime::kLocalUser, {access::Role::kAdmin}),
          .kind = runtime::kLocalUser};
}

absl::StatusOr<tls::CertificateFacts> Callers::FactsOf(absl::string_view pem) const {
  const std::string text(pem);
  {
    absl::MutexLock lock(&mutex_);
    if (const auto known = known_.find(text); known != known_.end()) {
      return known->second;
    }
  }
  WATTLE_ASSIGN_OR_RETURN(tls::CertificateFacts facts, tls::ReadCertificate(pem));
  absl::MutexLock lock(&mutex_);
  if (known_.size() >= kKnownMax) {
    known_.clear();
  }
  known_[text] = facts;
  return facts;
}

// The handshake has checked the signature of the fleet's authority.
absl::StatusOr<Caller> Callers::OfCertificate(absl::string_view pem) const {
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFacts facts, FactsOf(pem));
  const std::string prefix = absl::StrCat("spiffe://", fleet_, "/");
  const std::string uri = facts.uris.size() == 1 ? facts.uris[0] : "";
  const std::vector<std::string> parts =
      absl::StartsWith(uri, prefix)
          ? std::vector<std::string>(absl::StrSplit(uri.substr(prefix.size()), '/'))
          : std::vector<std::string>();
  if (parts.size() != 2 || (parts[0] != core::kDeviceKind && parts[0] != core::kPersonKind)) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate names nobody of this fleet; ", kHowToEnter));
  }
  const std::string who = absl::StrCat(parts[0], " ", parts[1]);
  const std::optional<v1::IdentityRecord> record =
      runtime_.Read([&](const core::State& state) -> std::optional<v1::IdentityRecord> {
        const v1::IdentityRecord* const found = core::FindIdentity(state, parts[0], parts[1]);
        return found == nullptr ? std::nullopt : std::optional<v1::IdentityRecord>(*found);
      });
  if (record.has_value() && record->revoked()) {
    return absl::PermissionDeniedError(absl::StrCat(
        who, " was revoked", record->revoked_reason().empty() ? "" : ": ", record->revoked_reason(),
        parts[0] == core::kDeviceKind
            ? "; an operator lets it in again by a new token of 'wattle device token'"
            : "; an admin lets them in again by a new token of 'wattle person token'"));
  }
  if (record.has_value() && record->public_key_sha256() != facts.public_key_sha256) {
    return absl::PermissionDeniedError(absl::StrCat(
        who, " has enrolled with another key since; enrol or log in here again by a new token"));
  }
  Caller caller = {.identity = IdentityOf(parts[1], {}),
                   .kind = parts[0],
                   .uri = uri,
                   .public_key_sha256 = facts.public_key_sha256,
                   .validity = {facts.not_before, facts.not_after}};
  if (caller.kind == core::kDeviceKind && record.has_value() && record->waits_for_approval()) {
    caller.identity.roles.insert(access::Role::kUnapproved);
    caller.identity.how_to_get_a_role =
        absl::StrCat("an operator lets the board work with 'wattle device approve ", parts[1], "'");
  } else if (caller.kind == core::kDeviceKind) {
    caller.identity.roles.insert(access::Role::kWorker);
    caller.identity.how_to_get_a_role =
        "a board's certificate reads nothing here; a person's certificate or a service's token "
        "does";
  } else if (const auto role = access::ParseRole(record.has_value() ? record->role() : "")) {
    caller.identity.roles.insert(*role);
    caller.identity.projects = core::ProjectsOf(&*record);
  }
  return caller;
}

absl::StatusOr<Caller> Callers::OfAuthorization(absl::string_view header) const {
  const absl::StatusOr<tls::ServiceToken> shown = tls::ParseAuthorization(header);
  if (!shown.ok()) {
    return absl::UnauthenticatedError(shown.status().message());
  }
  WATTLE_ASSIGN_OR_RETURN(
      std::string service,
      runtime_.Read([&, hash = tls::Sha256(shown->secret)](const core::State& state) {
        return core::CheckServiceToken(state, shown->id, hash, runtime_.Now().wall);
      }));
  Caller caller = {.identity = IdentityOf(std::move(service), {access::Role::kService}),
                   .kind = core::kServiceKind};
  caller.identity.how_to_get_a_role = "a service reads lists and metrics, a person does the rest";
  return caller;
}

void Callers::NoteMessage(const std::string& who, int64_t bytes) const {
  if (!who.empty()) {
    limits_->NoteMessage(who, bytes, runtime_.Now().monotonic);
  }
}

void Callers::NoteRefusal(absl::string_view who, absl::string_view method,
                          const absl::Status& why) const {
  limits_->refused_calls().Note(
      who, access::RequireRow(method).ok() ? method : "a method that does not exist", why.message(),
      runtime_.Now().monotonic);
}

absl::Status Callers::CountRefused(const std::string& who, const absl::Status& why) const {
  WATTLE_RETURN_IF_ERROR(limits_->TakeCall(who, runtime_.Now().monotonic));
  return why;
}

std::string Callers::ShownBy(absl::string_view pem, std::string stranger) const {
  if (pem.empty()) {
    return stranger;
  }
  const absl::StatusOr<tls::CertificateFacts> facts = FactsOf(pem);
  return facts.ok() && facts->uris.size() == 1 ? facts->uris[0] : "callers of no fleet";
}

absl::Status Callers::Admit(const Caller& caller, absl::string_view method,
                            const std::string& nameless) const {
  const std::string counted = caller.counted();
  if (const std::string& who = counted.empty() ? nameless : counted; !who.empty()) {
    WATTLE_RETURN_IF_ERROR(limits_->TakeCall(who, runtime_.Now().monotonic));
  }
  const absl::Time now = runtime_.Now().wall;
  const core::CertificateAge age =
      core::AgeOf(caller.validity, now, limits_->most().renew_after_expiry);
  const bool renews = method == kRenew && age != core::CertificateAge::kOver;
  if (age != core::CertificateAge::kValid && !renews) {
    return absl::UnauthenticatedError(WhyOfAge(caller, age, now));
  }
  return access::DecideMethod(caller.identity, method);
}

}  // namespace wattle::callers
