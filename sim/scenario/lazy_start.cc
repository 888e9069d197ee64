// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/lazy_start.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "scheduler/place/rules/selector.h"
#include "units/quantity.h"

namespace wattle::sim {
namespace {

constexpr double kFullCharge = 0.99;  // Energy for a full pack is lost.
constexpr int64_t kHoursOfDay = 24;

// The board's observed harvest in this hour of the day; 0 if it was never observed.
double HarvestWatts(const v1::Device& device, int64_t unix_hour) {
  const auto& by_hour = device.ledger().harvest_power_watts_by_hour();
  const auto hour = static_cast<int>(unix_hour % kHoursOfDay);
  return hour < by_hour.size() ? std::max(0.0, by_hour[hour]) : 0.0;
}

// Joules expected between two moments from the sun of past days.
double HarvestJoules(const v1::Device& device, absl::Time begin, absl::Time end) {
  double joules = 0.0;
  while (begin < end) {
    const int64_t hour = absl::ToUnixSeconds(begin) / 3600;
    const absl::Time next = std::min(end, absl::FromUnixSeconds((hour + 1) * 3600));
    joules += HarvestWatts(device, hour) * absl::ToDoubleSeconds(next - begin);
    begin = next;
  }
  return joules;
}

}  // namespace

absl::Time LazyStart(const scheduler::Snapshot& snapshot, const v1::Candidate& candidate,
                     absl::Time deadline) {
  const auto found = std::find_if(snapshot.devices.begin(), snapshot.devices.end(),
                                  [&](const scheduler::DeviceView& view) {
                                    return view.device.info().device_id() == candidate.device_id();
                                  });
  WATTLE_CHECK(found != snapshot.devices.end(), "the candidate is of a plan of the snapshot");
  const v1::Device& device = found->device;
  const absl::Time now = snapshot.now;
  const double capacity_joules = 3600.0 * device.info().battery_capacity_wh();
  const double charge = device.heartbeat().state_of_charge_ratio();
  const absl::Time latest = deadline - absl::Seconds(candidate.finish_in_seconds());
  if (capacity_joules <= 0.0 || !device.heartbeat().has_battery() || charge >= kFullCharge ||
      deadline == absl::InfiniteFuture() || latest <= now) {
    return now;
  }
  const auto limits = scheduler::LimitsFor(snapshot.policies, device.info());
  const double reserve = limits.reserve ? limits.reserve->state_of_charge.value() : 0.0;
  const double idle_watts = device.info().idle_power_watts();
  const double free_joules = std::max(0.0, (charge - reserve) * capacity_joules) +
                             HarvestJoules(device, now, deadline) -
                             idle_watts * absl::ToDoubleSeconds(deadline - now);
  const double work_watts = candidate.prediction().mean_power_watts() - idle_watts;
  if (work_watts <= 0.0) {
    return now;
  }
  const absl::Time lazy = deadline - absl::Seconds(std::max(0.0, free_joules) / work_watts);
  return std::clamp(lazy, now, latest);
}

}  // namespace wattle::sim
