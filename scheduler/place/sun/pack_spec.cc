// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/sun/pack_spec.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/time/time.h"

#include "policy/held_back.h"
#include "policy/limits.h"
#include "policy/schedule.h"
#include "scheduler/place/device/power_group.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/sun/sun_outlook.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/harvest_paths.h"

namespace wattle::scheduler {
namespace {

using timetable::kHour;
using timetable::Seconds;

// If no policy says otherwise: one of the 64 paths may break the floor of a pack.
constexpr double kSunRiskUnsaid = 0.02;
// The risk is a share of all runs, and most of them keep the floor in every path, so a bound on
// each run separately would use little of it. A board that was stopped less often than its policy
// allows plans more boldly, and one that was stopped more often more cautiously: the step of
// adaptive conformal inference (docs/design/prediction.md, "Calibration"). For a small risk the
// count begins one stop ahead: three of 64 paths instead of one. From kRiskOfItsOwn on it begins
// with the requested risk.
constexpr double kRiskStep = 0.05;
constexpr double kRiskOfItsOwn = 0.07;
constexpr double kRiskMin = 0.5;  // Factors of the policy's risk.
constexpr double kRiskMax = 3.0;

// When the floor changes: it falls hour by hour towards each stay-alive time, after which the next
// one applies.
std::vector<Seconds> FloorMoments(const std::vector<policy::Limits>& limits, Seconds now) {
  std::vector<Seconds> moments = {now};
  const Seconds end = now + kSunHours * kHour;
  bool is_stair = false;
  for (const policy::Limits& of : limits) {
    for (const policy::AliveLimit& alive : of.alive) {
      is_stair = true;
      Seconds at = now;
      for (;;) {
        const Seconds until =
            timetable::UnixSecondsUp(policy::AliveUntil(alive, absl::FromUnixSeconds(at)));
        if (until <= at || until >= end) {
          break;
        }
        at = until;
        moments.push_back(at);
      }
    }
  }
  for (Seconds at = (now / kHour + 1) * kHour; is_stair && at < end; at += kHour) {
    moments.push_back(at);
  }
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  return moments;
}

// The charge that work must leave from each moment on: reserve, charge to stay alive, gauge error.
// Among several boards the largest demand decides.
std::vector<timetable::FloorStep> FloorOf(const PackBoards& on, Joules capacity) {
  const Fraction error = GaugeOf(on.gauge).error;
  std::vector<policy::Limits> limits;
  for (const size_t i : on.devices) {
    limits.push_back(LimitsFor(on.snapshot.policies, on.snapshot.devices[i].device.info()));
  }
  std::vector<timetable::FloorStep> floor;
  for (const Seconds from : FloorMoments(limits, absl::ToUnixSeconds(on.snapshot.now))) {
    timetable::Millijoules charge = 0;
    for (const policy::Limits& of : limits) {
      const std::optional<policy::ReserveLimit> reserve =
          policy::ChargeFloor(of, absl::FromUnixSeconds(from), on.idle(), capacity);
      const Fraction share = reserve ? reserve->state_of_charge + error : Fraction(0);
      charge = std::max(charge,
                        timetable::MillijoulesUp(capacity * std::clamp(share.value(), 0.0, 2.0)));
    }
    if (floor.empty() || floor.back().charge != charge) {
      floor.push_back({.from = from, .charge = charge});
    }
  }
  return floor;
}

// The share of paths in which work may break the floor.
double RiskOf(const PackBoards& on) {
  double asked = 1;
  double ended = 0;
  double stopped = 0;
  for (const size_t i : on.devices) {
    const DeviceView& view = on.snapshot.devices[i];
    asked = std::min(
        asked,
        LimitsFor(on.snapshot.policies, view.device.info()).sun_risk.value_or(kSunRiskUnsaid));
    ended += static_cast<double>(view.runs_ended);
    stopped += static_cast<double>(view.runs_stopped_by_charge);
  }
  const double begins = std::clamp((kRiskOfItsOwn - asked) / kRiskStep, 0.0, 1.0);
  const double ahead = std::clamp(begins + asked * (ended + 1) - stopped, -1.0, 1.0);
  return std::clamp(asked + kRiskStep * ahead, kRiskMin * asked, std::min(1.0, kRiskMax * asked));
}

// The least recent draw of the other boards, because an unreachable board may be off.
Watts IdleOfOthers(const PackBoards& on) {
  Watts sum(0);
  for (const size_t i : on.devices) {
    const DeviceView& view = on.snapshot.devices[i];
    if (&view != &on.view && view.device.connected() && !view.device.unreachable()) {
      sum += IdlePowerOf(view.device);
    }
  }
  return sum;
}

// The sun that the gauge's board would report if it knew the draw of the other boards of the pack,
// which it mistakes for missing sun. In hours with little reported sun the gauge's noise may be all
// of it, so no hour becomes more than twice as bright.
DeviceView WithDrawOfOthers(const PackBoards& on, Watts others) {
  DeviceView view = on.view;
  const auto correct = [others]<typename Number>(Number& watts) {
    watts += static_cast<Number>(std::clamp<double>(watts, 0, others.value()));
  };
  for (double& watts : *view.device.mutable_ledger()->mutable_harvest_power_watts_by_hour()) {
    correct(watts);
  }
  for (float& watts :
       *view.device.mutable_heartbeat()->mutable_recent_harvest()->mutable_power_watts()) {
    correct(watts);
  }
  return view;
}

timetable::SunOutlook SunOn(const PackBoards& on) {
  const auto place = LimitsFor(on.snapshot.policies, on.gauge.info()).place;
  const Watts others = IdleOfOthers(on);
  return others > Watts(0) ? SunOutlookOf(WithDrawOfOthers(on, others), place, on.snapshot.now)
                           : SunOutlookOf(on.view, place, on.snapshot.now);
}

}  // namespace

bool HasKnownIdle(const v1::Device& device) {
  return IdlePowerOf(device).value() > 0 && IdlePowerOf(device) < kPowerMax &&
         (device.info().time_scale() == 0 || device.info().time_scale() == 1);
}

bool HasKnownSun(const v1::Device& device) {
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
  return device.heartbeat().has_battery() && capacity.value() > 0 && capacity < kPackMax &&
         std::isfinite(device.heartbeat().state_of_charge_ratio()) && HasSeenSun(device);
}

Watts PackBoards::idle() const {
  Watts sum(0);
  for (const size_t i : devices) {
    sum += IdlePowerOf(snapshot.devices[i].device);
  }
  return sum;
}

timetable::PackSpec SpecOf(const PackBoards& on) {
  const Joules capacity = FromWattHours(on.gauge.info().battery_capacity_wh());
  const Seconds now = absl::ToUnixSeconds(on.snapshot.now);
  timetable::PackSpec spec;
  spec.now = now;
  spec.capacity = timetable::MillijoulesDown(capacity);
  spec.charge = timetable::MillijoulesDown(
      capacity * std::clamp(on.gauge.heartbeat().state_of_charge_ratio(), 0.0, 1.0));
  spec.idle = timetable::MilliwattsUp(on.idle());
  spec.floor = FloorOf(on, capacity);
  spec.first_hour = now / kHour * kHour;
  spec.harvest = timetable::HarvestPaths(SunOn(on));
  spec.broken_paths_max = static_cast<int>(RiskOf(on) * timetable::kHarvestPaths);
  return spec;
}

}  // namespace wattle::scheduler
