// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/heartbeat_interval.h"

#include <algorithm>

namespace wattle::policy {
namespace {

// Bytes of an idle heartbeat on the wire in both directions, with TLS, TCP, IP and the answering
// HTTP/2 probe: an upper estimate of the measurement by `./dev bench field`.
constexpr double kHeartbeatWireBytes = 500;
// Keepalives, ledgers and new connections take the rest of the idle day.
constexpr double kHeartbeatsShare = 0.7;
constexpr absl::Duration kIntervalMax = absl::Minutes(1);

}  // namespace

absl::Duration HeartbeatInterval(const Limits& limits, absl::Duration wanted) {
  if (!limits.link_bytes_per_day) {
    return wanted;
  }
  const double idle_bytes = std::min(static_cast<double>(kIdleBytesPerDayMax),
                                     0.5 * static_cast<double>(*limits.link_bytes_per_day));
  const absl::Duration needed =
      absl::Hours(24) * (kHeartbeatWireBytes / (kHeartbeatsShare * idle_bytes));
  return std::max(wanted, std::min(needed, kIntervalMax));
}

}  // namespace wattle::policy
