// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Why a board idles, where its power supply is the cause and no policy. A heartbeat tells it where
// it tells what the policies hold back (Heartbeat.guard_reason), and begins it with kWeakSupply.
#ifndef WATTLE_POLICY_WEAK_SUPPLY_H_
#define WATTLE_POLICY_WEAK_SUPPLY_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"

namespace wattle::policy {

inline constexpr absl::string_view kWeakSupply = "under-voltage: ";

inline bool IsWeakSupply(absl::string_view guard_reason) {
  return absl::StartsWith(guard_reason, kWeakSupply);
}

// For a plan with other policies than the heartbeat's: what those hold back does not count, and a
// weak supply does.
inline void ForgetPolicies(v1::Heartbeat& heartbeat) {
  if (!IsWeakSupply(heartbeat.guard_reason())) {
    heartbeat.clear_guard_reason();
  }
}

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_WEAK_SUPPLY_H_
