// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The time as a value with an error: a device gets the time from a time service, from its
// coordinator, or not at all. A time whose error is below kExactBelow counts as the time. With a
// larger error a demand must hold for every time within the error. Pure.
#ifndef WATTLE_POLICY_KNOWN_TIME_H_
#define WATTLE_POLICY_KNOWN_TIME_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "policy/limits.h"
#include "policy/schedule.h"
#include "units/quantity.h"

namespace wattle::policy {

enum class TimeSource {
  kUnknown,
  kFloor,        // the true time is not before `time`
  kCoordinator,  // the coordinator sent the time in this boot
  kKernel,       // the kernel reports that a time service keeps its clock, or did so in this boot
};

struct KnownTime {
  static constexpr absl::Duration kExactBelow = absl::Minutes(5);

  absl::Time time{};  // the best guess if the time is unknown: only for people
  absl::Duration error = absl::InfiniteDuration();  // the truth is no farther from `time`
  TimeSource source = TimeSource::kUnknown;

  [[nodiscard]] bool known() const { return error < absl::InfiniteDuration(); }
  // The first and the last possible moment. REQUIRES: known().
  [[nodiscard]] absl::Time earliest() const { return error < kExactBelow ? time : time - error; }
  [[nodiscard]] absl::Time latest() const { return error < kExactBelow ? time : time + error; }
};

// For how long from now all windows are surely open; zero: at least one may be closed.
absl::Duration OpenFor(const std::vector<WindowLimit>& limits, const KnownTime& now);

// The day of the budget; absent: unknown, or one of two days.
std::optional<int64_t> DayOf(const BudgetLimit& limit, const KnownTime& now);

// The highest result of ChargeFloor between now and `lead` later. REQUIRES: known().
std::optional<ReserveLimit> HighestChargeFloor(const Limits& limits, const KnownTime& now,
                                               absl::Duration lead, Watts idle,
                                               std::optional<Joules> capacity);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_KNOWN_TIME_H_
