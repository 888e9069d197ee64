// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/power_off.h"

#include "absl/strings/str_cat.h"

#include "units/format.h"

namespace wattle::agent {

bool PowerOff::GoesOff(const std::optional<policy::ReserveLimit>& limit, const Moment& moment) {
  // A battery that is charging rises above the limit by itself.
  const bool fills = moment.into_pack.has_value() && *moment.into_pack > Watts(0);
  if (!limit || !moment.charge || *moment.charge >= limit->state_of_charge || fills ||
      moment.in_use) {
    below_since_.reset();
    tried_.reset();
    reason_.clear();
    return false;
  }
  // The first moment below the limit counts; any reading above it has reset the wait.
  below_since_ = below_since_.value_or(moment.now);
  const Monotonic from = tried_ ? *tried_ + kRetry : *below_since_ + kWait;
  if (moment.now < from) {
    reason_.clear();
    return false;
  }
  reason_ = absl::StrCat("the battery is at ", FormatPercent(*moment.charge),
                         ", and the board switches itself off below ",
                         FormatPercent(limit->state_of_charge), " (policy ", limit->policy, ")");
  if (moment.now < from + kFarewell) {
    return false;
  }
  tried_ = moment.now;
  return true;
}

std::optional<Monotonic> PowerOff::NextStep() const {
  if (!below_since_) {
    return std::nullopt;
  }
  const Monotonic from = tried_ ? *tried_ + kRetry : *below_since_ + kWait;
  return reason_.empty() ? from : from + kFarewell;
}

}  // namespace wattle::agent
