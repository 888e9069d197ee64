// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/time_keeper.h"

#include <algorithm>

#include "base/fault_point.h"

namespace wattle::agent {
namespace {

// Upper bound of a board's oscillator error: 8.6 s a day.
constexpr double kDriftRatio = 100e-6;

}  // namespace

void TimeKeeper::RaiseFloor(absl::Time floor) {
  floor_ = std::max(floor_, floor);
}

void TimeKeeper::Resume(const v1::ClockRecord& kept, const std::string& boot_id) {
  if (kept.unix_seconds() <= 0) {
    return;
  }
  const absl::Time time = absl::UnixEpoch() + absl::Seconds(kept.unix_seconds());
  const absl::Duration error = absl::Seconds(kept.error_seconds());
  // Boot time starts at 0 after a reboot, so an anchor of another boot is only a lower bound.
  RaiseFloor(time - error);
  if (kept.boot_id() == boot_id) {
    anchor_ = Anchor{{time, error, policy::TimeSource::kCoordinator},
                     Monotonic(absl::Seconds(kept.at_boottime_seconds()))};
  }
}

policy::KnownTime TimeKeeper::ByAnchor(Monotonic wall) const {
  policy::KnownTime known = anchor_->known;
  const absl::Duration passed = wall - anchor_->at;
  known.time += passed;
  known.error += kDriftRatio * passed;
  return known;
}

policy::KnownTime TimeKeeper::OnCoordinator(absl::Time told, Monotonic asked, Monotonic heard) {
  // The answer was sent at an unknown moment of the round trip: its middle errs by at most half of
  // it (Cristian 1989).
  const absl::Duration half = 0.5 * (heard - asked);
  const policy::KnownTime by_coordinator = {told + half, half, policy::TimeSource::kCoordinator};
  if (told < kWritten) {
    return {};
  }
  // Errors of an anchor grow by the drift, so a worse answer can still improve on an old anchor.
  if (!anchor_ || by_coordinator.error < ByAnchor(heard).error) {
    anchor_ = Anchor{by_coordinator, heard};
  }
  return ByAnchor(heard);
}

policy::KnownTime TimeKeeper::At(Monotonic wall, const SystemTime& system) {
  if (WATTLE_FAULT_POINT("time of the welcome")) {
    return {system.time, absl::ZeroDuration(), policy::TimeSource::kKernel};
  }
  if (system.error && system.time >= kWritten &&
      (*system.error < policy::KnownTime::kExactBelow || !anchor_ ||
       *system.error < ByAnchor(wall).error)) {
    anchor_ = Anchor{{system.time, *system.error, policy::TimeSource::kKernel}, wall};
  }
  if (anchor_) {
    return ByAnchor(wall);
  }
  const bool has_floor = floor_ > kWritten;
  return {std::max(system.time, floor_), absl::InfiniteDuration(),
          has_floor ? policy::TimeSource::kFloor : policy::TimeSource::kUnknown};
}

v1::ClockRecord RecordOf(const policy::KnownTime& known, const std::string& boot_id,
                         Monotonic wall) {
  v1::ClockRecord record;
  record.set_unix_seconds(absl::ToDoubleSeconds(known.time - absl::UnixEpoch()));
  record.set_error_seconds(absl::ToDoubleSeconds(known.error));
  record.set_boot_id(boot_id);
  record.set_at_boottime_seconds(absl::ToDoubleSeconds(wall.since_boot()));
  return record;
}

v1::ClockSource ToProto(policy::TimeSource source) {
  switch (source) {
    case policy::TimeSource::kKernel:
      return v1::CLOCK_SOURCE_KERNEL;
    case policy::TimeSource::kCoordinator:
      return v1::CLOCK_SOURCE_COORDINATOR;
    case policy::TimeSource::kFloor:
      return v1::CLOCK_SOURCE_FLOOR;
    case policy::TimeSource::kUnknown:
      return v1::CLOCK_SOURCE_UNKNOWN;
  }
  return v1::CLOCK_SOURCE_UNSPECIFIED;
}

}  // namespace wattle::agent
