// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The prefixes of a board's reason to idle (Heartbeat.guard_reason) that the fleet distinguishes
// from all other reasons.
#ifndef WATTLE_POLICY_GUARD_REASON_H_
#define WATTLE_POLICY_GUARD_REASON_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"

namespace wattle::policy {

// The charge is at the reserve.
inline constexpr absl::string_view kAtReserve = "battery at ";
// The power supply is the cause, not a policy.
inline constexpr absl::string_view kWeakSupply = "under-voltage: ";

inline bool IsAtReserve(absl::string_view reason) {
  return absl::StartsWith(reason, kAtReserve);
}

inline bool IsWeakSupply(absl::string_view reason) {
  return absl::StartsWith(reason, kWeakSupply);
}

// For a plan with policies other than the heartbeat's: reasons from the heartbeat's policies do not
// count; a weak supply still does.
inline void ForgetPolicies(v1::Heartbeat& heartbeat) {
  if (!IsWeakSupply(heartbeat.guard_reason())) {
    heartbeat.clear_guard_reason();
  }
}

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_GUARD_REASON_H_
