// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How often a device sends a heartbeat. Worker and coordinator compute the interval from the same
// policies, so that the coordinator never expects a heartbeat that the worker does not send. Pure.
#ifndef WATTLE_POLICY_HEARTBEAT_INTERVAL_H_
#define WATTLE_POLICY_HEARTBEAT_INTERVAL_H_

#include <cstdint>

#include "absl/time/time.h"

#include "policy/limits.h"

namespace wattle::policy {

// A metered link carries at most this much in a day on which the device does nothing.
inline constexpr int64_t kIdleBytesPerDayMax = 2'000'000;
// The bounds of LinkLimits.bytes_per_day. At the lower bound heartbeats take half.
inline constexpr int64_t kLinkBytesPerDayMin = 2'000'000;
inline constexpr int64_t kLinkBytesPerDayMax = int64_t{1} << 50;

// `wanted` without a limit of bytes a day. With a limit, the interval is stretched as far as an
// idle day requires, to at most a minute.
absl::Duration HeartbeatInterval(const Limits& limits, absl::Duration wanted);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_HEARTBEAT_INTERVAL_H_
