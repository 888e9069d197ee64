// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads the moments that people write after --since. Pure; thread-safe.
#ifndef WATTLE_CLI_SINCE_H_
#define WATTLE_CLI_SINCE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace wattle::cli {

// "90s", "30m", "24h", "7d" before `now`; "today" (since midnight); "2026-11-20" and
// "2026-11-20T08:30". Days and dates are in UTC, like all times that wattle prints. Errors:
// kInvalidArgument for any other text, and for a moment after `now`.
absl::StatusOr<absl::Time> ParseSince(absl::string_view text, absl::Time now);

// The latest midnight of UTC that is not after `now`.
absl::Time MidnightBefore(absl::Time now);

// Seconds since the epoch, the unit of the protocol.
double UnixSeconds(absl::Time time);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SINCE_H_
