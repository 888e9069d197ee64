// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/limits.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "policy/fields.h"

namespace wattle::policy {

Limits LimitsOf(const std::vector<const v1::Policy*>& policies) {
  Limits limits;
  for (const v1::Policy* policy : policies) {
    const absl::StatusOr<absl::TimeZone> zone =
        ParseZone(policy->time_zone(), policy->utc_offset_minutes());
    for (const Field& field : Fields()) {
      if (field.tighten == nullptr) {
        continue;
      }
      if (const absl::Status read = field.tighten(*policy, zone, limits); !read.ok()) {
        limits.unreadable = absl::StrCat("policy ", policy->name(), ": ", read.message());
      }
    }
  }
  return limits;
}

std::optional<ReserveLimit> ChargeFloor(const Limits& limits, absl::Time now, Watts idle,
                                        std::optional<Joules> capacity) {
  std::optional<ReserveLimit> floor = limits.reserve;
  if (!capacity || *capacity <= Joules(0)) {
    return floor;
  }
  const AliveLimit* latest = nullptr;
  for (const AliveLimit& alive : limits.alive) {
    if (latest == nullptr || AliveUntil(alive, now) > AliveUntil(*latest, now)) {
      latest = &alive;
    }
  }
  if (latest == nullptr || AliveUntil(*latest, now) <= now) {
    return floor;
  }
  const Joules needed = idle * (AliveUntil(*latest, now) - now);
  const Fraction reserve = floor ? floor->state_of_charge : Fraction(0);
  return ReserveLimit{reserve + Fraction(needed / *capacity),
                      absl::StrCat(latest->policy, ", alive until ", Describe(*latest))};
}

}  // namespace wattle::policy
