// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How the guard's reason begins when the charge is at the reserve. The coordinator tells these
// pauses apart from others.
#ifndef WATTLE_POLICY_AT_RESERVE_H_
#define WATTLE_POLICY_AT_RESERVE_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace wattle::policy {

inline constexpr absl::string_view kAtReserve = "battery at ";

inline bool IsAtReserve(absl::string_view reason) {
  return absl::StartsWith(reason, kAtReserve);
}

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_AT_RESERVE_H_
