// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/limits.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "policy/fields.h"

namespace wattle::policy {
namespace {

// A run of more pieces than this would take years.
constexpr int kPiecesMax = 2000;

}  // namespace

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

absl::Time FinishUnder(const OpenTimes& windows, const std::optional<BudgetLimit>& budget,
                       PausingRun run) {
  if (windows.always() && !budget) {
    return run.start + run.work;
  }
  absl::Time at = run.start;
  absl::Duration left = run.work;
  for (int piece = 0; piece < kPiecesMax; ++piece) {
    const absl::Time opens = windows.OpensAt(at);
    if (opens == absl::InfiniteFuture()) {
      return opens;
    }
    if (budget && DayOf(*budget, opens) != DayOf(*budget, at)) {
      run.spent = Joules(0);
    }
    at = opens;
    absl::Time until = windows.ClosesAt(at);
    absl::Time next = until;
    if (budget) {
      const absl::Time day_ends = DayEnds(*budget, at);
      const Joules affordable = std::max(budget->per_day - run.spent, Joules(0));
      const absl::Time broke = run.draw > Watts(0)
                                   ? at + absl::Seconds(affordable.value() / run.draw.value())
                                   : absl::InfiniteFuture();
      next = broke < std::min(until, day_ends) ? day_ends : std::min(until, day_ends);
      until = std::min({until, day_ends, broke});
      run.spent += run.draw * (until - at);
      if (next == day_ends) {
        run.spent = Joules(0);
      }
    }
    if (at + left <= until) {
      return at + left;
    }
    left -= until - at;
    at = next;
  }
  return absl::InfiniteFuture();
}

}  // namespace wattle::policy
