// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a board's reason to idle begins (Heartbeat.guard_reason), where the fleet tells some reasons
// apart from all others.
#ifndef WATTLE_POLICY_GUARD_REASON_H_
#define WATTLE_POLICY_GUARD_REASON_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"

namespace wattle::policy {

// The charge is at the reserve.
inline constexpr absl::string_view kAtReserve = "battery at ";
// The power supply is the cause, and no policy.
inline constexpr absl::string_view kWeakSupply = "under-voltage: ";

inline bool IsAtReserve(absl::string_view reason) {
  return absl::StartsWith(reason, kAtReserve);
}

inline bool IsWeakSupply(absl::string_view reason) {
  return absl::StartsWith(reason, kWeakSupply);
}

// For a plan with other policies than the heartbeat's: what those hold back does not count, and a
// weak supply does.
inline void ForgetPolicies(v1::Heartbeat& heartbeat) {
  if (!IsWeakSupply(heartbeat.guard_reason())) {
    heartbeat.clear_guard_reason();
  }
}

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_GUARD_REASON_H_
