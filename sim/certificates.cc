// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/certificates.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "coordinator/core/command.h"
#include "coordinator/core/core.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/rotation.h"

namespace wattle::sim {
namespace {

constexpr double kAnswersLost = 0.15;
constexpr double kNeverSeconds = 1e12;  // For the end of a token.

}  // namespace

Certificates::Certificates(EventLoop& loop, const Options& options, Coordinator& coordinator)
    : loop_(loop),
      options_(options),
      coordinator_(coordinator),
      random_(options.seed * 49'979'687 + 3) {}

const v1::IdentityRecord* Certificates::RecordOf(const DeviceId& device) const {
  return core::FindIdentity(coordinator_.durable(), core::kDeviceKind, device.value());
}

Certificates::Certificate Certificates::Sign(const std::string& request,
                                             const std::string& key) const {
  const absl::Time now = coordinator_.Now().wall;
  return {.request = request,
          .key = key,
          .root = roots_.back(),
          .validity = {now, now + absl::Seconds(options_.certificate_seconds)}};
}

bool Certificates::IsTrusted(const std::string& root) const {
  return std::find(roots_.begin(), roots_.end(), root) != roots_.end();
}

// After a lost answer the board repeats its request and gets the same certificate.
void Certificates::TakeAnswer(const DeviceId& device) {
  const v1::IdentityRecord* const record = RecordOf(device);
  const auto answer = signed_.find(device);
  if (record != nullptr && answer != signed_.end() && !record->revoked() &&
      record->signing_request_sha256() == answer->second.request) {
    held_[device] = answer->second;
    signed_.erase(answer);
  }
}

bool Certificates::Admits(const DeviceId& device, absl::Time clock) {
  wrongly_in_.erase(device);
  if (options_.certificate_seconds == 0.0) {
    return true;
  }
  TakeAnswer(device);
  const v1::IdentityRecord* const record = RecordOf(device);
  const auto held = held_.find(device);
  const bool lost = held == held_.end() || !IsTrusted(held->second.root) ||
                    (record != nullptr && record->public_key_sha256() != held->second.key);
  if (lost) {
    LetInLater(device);
    return false;
  }
  const core::Validity validity = held->second.validity;
  const absl::Time now = coordinator_.Now().wall;
  switch (core::AgeOf(validity, now)) {
    case core::CertificateAge::kValid:
      break;
    case core::CertificateAge::kNotYet:
    case core::CertificateAge::kExpired:
      Renew(device);
      return false;
    case core::CertificateAge::kOver:
      LetInLater(device);
      return false;
  }
  if (validity.ends < now) {
    wrongly_in_[device] =
        absl::StrCat("its certificate ended at ", absl::FormatTime(validity.ends));
  }
  Look(device, clock);
  return true;
}

void Certificates::Look(const DeviceId& device, absl::Time clock) {
  const auto held = held_.find(device);
  if (held == held_.end()) {
    return;
  }
  const auto& [begins, ends] = held->second.validity;
  if (held->second.root != roots_.back() || clock > begins + (ends - begins) / 2) {
    Renew(device);
  }
}

std::string Certificates::WhyNoWork(const DeviceId& device) const {
  const auto found = wrongly_in_.find(device);
  return found == wrongly_in_.end() ? "" : found->second;
}

void Certificates::Renew(const DeviceId& device) {
  const auto held = held_.find(device);
  if (!coordinator_.alive() || !renewing_.insert(device).second) {
    return;
  }
  Certificate next = Sign(held->second.request, held->second.key);
  next.validity.ends =
      std::max(next.validity.ends, core::KeptUntil(held->second.validity, coordinator_.Now().wall));
  core::RenewIdentity renew;
  renew.kind = core::kDeviceKind;
  renew.id = device.value();
  renew.root_sha256 = next.root;
  renew.not_after = next.validity.ends;
  coordinator_.Post(std::move(renew), [this, device, next](const event_loop::Answer& answer) {
    const auto found = held_.find(device);
    if (answer.status.ok() && found != held_.end() && found->second.key == next.key &&
        !random_.Chance(kAnswersLost)) {
      found->second = next;
      ++renewed_;
    }
  });
  // For the answer or its loss.
  loop_.After(options_.delay_seconds_max + 2.0, [this, device] { renewing_.erase(device); });
}

void Certificates::Enrol(const DeviceId& device, bool approve) {
  const v1::IdentityRecord* const record = RecordOf(device);
  const bool keeps_key = record != nullptr && !record->revoked();
  v1::EnrolmentToken token;
  token.set_token_id(absl::StrCat("t", ++tokens_));
  token.set_secret_sha256("secret");
  token.set_kind(core::kDeviceKind);
  token.set_uses(1);
  token.set_approve(approve);
  token.set_expires_unix_seconds(kNeverSeconds);
  coordinator_.Post(core::CreateTokens{{token}}, nullptr);
  const Certificate made =
      Sign(absl::StrCat("request ", tokens_),
           keeps_key ? record->public_key_sha256() : absl::StrCat("key ", tokens_));
  core::Enrol enrol;
  enrol.secret_sha256 = token.secret_sha256();
  enrol.identity.set_id(device.value());
  enrol.identity.set_token_id(token.token_id());
  enrol.identity.set_signing_request_sha256(made.request);
  enrol.identity.set_public_key_sha256(made.key);
  enrol.identity.set_root_sha256(made.root);
  enrol.identity.set_not_after_unix_seconds(core::ToUnix(made.validity.ends));
  signed_[device] = made;
  coordinator_.Post(std::move(enrol), nullptr);
}

core::RevokeIdentity RevocationOf(const DeviceId& device, const std::string& reason) {
  core::RevokeIdentity revoke;
  revoke.kind = core::kDeviceKind;
  revoke.id = device.value();
  revoke.reason = reason;
  revoke.by = "otto";
  return revoke;
}

// The board cannot enrol by itself. This also covers its first certificate.
void Certificates::LetInLater(const DeviceId& device) {
  if (!waiting_.insert(device).second) {
    return;
  }
  const double wait_seconds = random_.Between(0.5, 0.2 * options_.outage_seconds_max + 1.0);
  loop_.After(wait_seconds, [this, device] {
    waiting_.erase(device);
    const v1::IdentityRecord* const record = RecordOf(device);
    const auto held = held_.find(device);
    const bool other_key = record != nullptr && held != held_.end() && !record->revoked() &&
                           record->public_key_sha256() != held->second.key;
    if (other_key) {  // The record is of an older backup.
      coordinator_.Post(RevocationOf(device, "its key is lost"), nullptr);
      held_.erase(held);
      LetInLater(device);  // The gate refuses a revoked board.
    } else if (record == nullptr || !record->waits_for_approval()) {
      Enrol(device, /*approve=*/false);
      SeeWhetherLetIn(device);
    }
  });
}

// The coordinator may refuse the enrolment, or stop before it is durable. A board with a revoked
// record never triggers another attempt through the gate.
void Certificates::SeeWhetherLetIn(const DeviceId& device) {
  loop_.After(options_.outage_seconds_max + 2.0, [this, device] {
    const v1::IdentityRecord* const record = RecordOf(device);
    if (record != nullptr && record->revoked()) {
      LetInLater(device);
    }
  });
}

void Certificates::Age(const DeviceId& device, absl::Duration by) {
  const auto held = held_.find(device);
  if (held != held_.end()) {
    held->second.validity.begins -= by;
    held->second.validity.ends -= by;
  }
}

bool Certificates::Rotate() {
  if (!coordinator_.alive() || coordinator_.stands_still() || options_.certificate_seconds == 0.0) {
    return false;
  }
  if (roots_.size() == 1) {
    const std::string root = absl::StrCat("root ", ++rotations_);
    coordinator_.Post(core::RotateRoot{root, "otto"},
                      [this, root](const event_loop::Answer& answer) {
                        if (answer.status.ok() && roots_.size() == 1) {
                          roots_.push_back(root);
                        }
                      });
    return true;
  }
  const std::string old = roots_.front();
  const auto of_unknown = [](const std::string&) { return std::string(); };
  if (!core::IdentitiesUnder(coordinator_.durable(), old, of_unknown).empty()) {
    return false;
  }
  coordinator_.Post(core::RetireRoot{old, "otto"}, [this, old](const event_loop::Answer& answer) {
    if (answer.status.ok() && roots_.size() == 2 && roots_.front() == old) {
      roots_.erase(roots_.begin());
    }
  });
  return true;
}

}  // namespace wattle::sim
