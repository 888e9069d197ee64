// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/known_time.h"

#include <algorithm>

namespace wattle::policy {

absl::Duration OpenFor(const std::vector<WindowLimit>& limits, const KnownTime& now) {
  if (limits.empty()) {
    return absl::InfiniteDuration();
  }
  if (!now.known() || OpensAt(limits, now.earliest()) > now.earliest()) {
    return absl::ZeroDuration();
  }
  return std::max(ClosesAt(limits, now.earliest()) - now.latest(), absl::ZeroDuration());
}

std::optional<int64_t> DayOf(const BudgetLimit& limit, const KnownTime& now) {
  if (!now.known() || DayOf(limit, now.earliest()) != DayOf(limit, now.latest())) {
    return std::nullopt;
  }
  return DayOf(limit, now.earliest());
}

// The floor falls with time and rises at each stay-alive time, so the maximum is at one of these or
// at the beginning.
std::optional<ReserveLimit> HighestChargeFloor(const Limits& limits, const KnownTime& now,
                                               absl::Duration lead, Watts idle,
                                               std::optional<Joules> capacity) {
  std::vector<absl::Time> moments = {now.earliest(), now.latest() + lead};
  for (const AliveLimit& alive : limits.alive) {
    if (const absl::Time until = AliveUntil(alive, now.earliest());
        until > now.earliest() && until < now.latest() + lead) {
      moments.push_back(until);
    }
  }
  std::optional<ReserveLimit> highest;
  for (const absl::Time moment : moments) {
    const auto floor = ChargeFloor(limits, moment, idle, capacity);
    if (floor && (!highest || floor->state_of_charge > highest->state_of_charge)) {
      highest = floor;
    }
  }
  return highest;
}

}  // namespace wattle::policy
