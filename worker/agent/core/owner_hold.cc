// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/owner_hold.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "units/format.h"

namespace wattle::agent {
namespace {

// Expected rest of a program's run: long enough that a heartbeat of a metered link follows in time.
constexpr absl::Duration kProgramLeft = absl::Minutes(10);

}  // namespace

absl::Status CheckOwnerHold(absl::Duration time) {
  if (time > absl::ZeroDuration() && time <= kOwnerHoldMax) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("a hold of ", absl::FormatDuration(time), ": wanted above 0 and at most ",
                   absl::ToInt64Hours(kOwnerHoldMax),
                   "h (30 days); for longer drain the device: wattle device "
                   "drain"));
}

void OwnerHold::Resume(const v1::OwnerHoldRecord& kept, const std::string& boot_id,
                       const Instant& now) {
  const bool other_boot = kept.boot_id() != boot_id;
  rebooted_ = kept.rebooted() || other_boot;
  until_ = other_boot ? now.wall + absl::Seconds(kept.left_seconds())
                      : Monotonic(absl::Seconds(kept.until_boottime_seconds()));
  until_civil_.reset();
  if (kept.until_unix_seconds() > 0) {
    until_civil_ = absl::UnixEpoch() + absl::Seconds(kept.until_unix_seconds());
  }
}

void OwnerHold::Begin(absl::Duration time, const Instant& now) {
  until_ = now.wall + time;
  until_civil_.reset();
  rebooted_ = false;
}

absl::Duration OwnerHold::TimeLeft(const Instant& now) const {
  if (!until_) {
    return absl::ZeroDuration();
  }
  absl::Duration left = *until_ - now.wall;
  if (rebooted_ && until_civil_ && now.civil.known()) {
    left = std::min(left, *until_civil_ - now.civil.earliest());
  }
  return std::max(left, absl::ZeroDuration());
}

absl::Duration OwnerHold::Left(const Instant& now) const {
  return program_.empty() ? TimeLeft(now) : std::max(TimeLeft(now), kProgramLeft);
}

bool OwnerHold::EndIfOver(const Instant& now) {
  if (!until_ || TimeLeft(now) > absl::ZeroDuration()) {
    return false;
  }
  until_.reset();
  return true;
}

std::string OwnerHold::Reason(const Instant& now) const {
  if (!program_.empty()) {
    return absl::StrCat("held by its owner: ", program_, " runs");
  }
  if (!until_) {
    return "";
  }
  if (!now.civil.known()) {
    return absl::StrCat("held by its owner for another ", FormatElapsed(Left(now)));
  }
  return absl::StrCat(
      "held by its owner until ",
      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", now.civil.time + Left(now), absl::UTCTimeZone()));
}

v1::OwnerHoldRecord OwnerHold::Record(const std::string& boot_id, const Instant& now) {
  if ((!rebooted_ || !until_civil_) && now.civil.known()) {
    until_civil_ = now.civil.time + Left(now);
  }
  v1::OwnerHoldRecord record;
  record.set_boot_id(boot_id);
  record.set_until_boottime_seconds(absl::ToDoubleSeconds(until_->since_boot()));
  record.set_rebooted(rebooted_);
  record.set_left_seconds(absl::ToDoubleSeconds(*until_ - now.wall));
  if (until_civil_) {
    record.set_until_unix_seconds(absl::ToDoubleSeconds(*until_civil_ - absl::UnixEpoch()));
  }
  return record;
}

}  // namespace wattle::agent
