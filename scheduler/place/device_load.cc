// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/place/device_load.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "policy/held_back.h"
#include "scheduler/place/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/harvest_paths.h"

namespace wattle::scheduler {
namespace {

using timetable::kHour;
using timetable::Pack;
using timetable::Seconds;

// An attempt that runs past its expected end is expected to need this much longer, at each plan
// anew.
constexpr absl::Duration kOverdue = absl::Seconds(30);
// Where no policy says: one of the 64 paths may break the floor of a pack.
constexpr double kSunRiskUnsaid = 0.02;
// Beyond these no board, pack or run is real, and integers of millijoules could overflow.
constexpr absl::Duration kRunMax = absl::Hours(24 * 366);
constexpr Joules kPackMax(1e9);
constexpr Watts kPowerMax(1e5);
// Demands of a pack: of the running attempt, and of the plan's runs, which are never taken out.
constexpr int kAttempt = 0;
constexpr int kPlanned = 1;

Watts IdlePower(const v1::Device& device) {
  return Watts(device.heartbeat().idle_power_watts() > 0 ? device.heartbeat().idle_power_watts()
                                                         : device.info().idle_power_watts());
}

// Whether charge, idle draw and sun are known. A device of another time than wall time has no sun
// that a plan could count on.
bool HasKnownSun(const v1::Device& device) {
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
  const auto& hours = device.ledger().harvest_power_watts_by_hour();
  return device.heartbeat().has_battery() && capacity.value() > 0 && capacity < kPackMax &&
         std::isfinite(device.heartbeat().state_of_charge_ratio()) &&
         IdlePower(device).value() > 0 && IdlePower(device) < kPowerMax &&
         (device.info().time_scale() == 0 || device.info().time_scale() == 1) &&
         hours.size() == 24 &&
         std::any_of(hours.begin(), hours.end(), [](double watts) { return watts > 0; }) &&
         std::all_of(hours.begin(), hours.end(),
                     [](double watts) { return Watts(watts) < kPowerMax; });
}

// The charge that work must leave from each hour on: reserve, charge to stay alive, gauge error.
std::vector<timetable::FloorStep> FloorOf(const Snapshot& snapshot, const v1::Device& device,
                                          Joules capacity) {
  const policy::Limits limits = LimitsFor(snapshot.policies, device.info());
  const Fraction error = GaugeOf(device).error;
  std::vector<timetable::FloorStep> floor;
  const Seconds now = absl::ToUnixSeconds(snapshot.now);
  for (Seconds from = now; from < now + kSunHours * kHour; from = (from / kHour + 1) * kHour) {
    const std::optional<policy::ReserveLimit> reserve =
        policy::ChargeFloor(limits, absl::FromUnixSeconds(from), IdlePower(device), capacity);
    const Fraction share = reserve ? reserve->state_of_charge + error : Fraction(0);
    const timetable::Millijoules charge =
        timetable::MillijoulesUp(capacity * std::clamp(share.value(), 0.0, 2.0));
    if (floor.empty() || floor.back().charge != charge) {
      floor.push_back({.from = from, .charge = charge});
    }
    if (limits.alive.empty()) {
      break;
    }
  }
  return floor;
}

std::shared_ptr<const Pack> PackOf(const Snapshot& snapshot, const DeviceView& view,
                                   absl::Time free_at) {
  const v1::Device& device = view.device;
  if (!HasKnownSun(device) || !(view.committed_energy < kPackMax)) {
    return nullptr;
  }
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
  const Seconds now = absl::ToUnixSeconds(snapshot.now);
  std::vector<timetable::Milliwatts> sun(kSunHours);
  for (int hour = 0; hour < kSunHours; ++hour) {
    const auto of_day = static_cast<int>((now / kHour + hour) % 24);
    sun[static_cast<size_t>(hour)] = timetable::MilliwattsDown(
        Watts(std::max(0.0, device.ledger().harvest_power_watts_by_hour(of_day))));
  }
  timetable::PackSpec spec;
  spec.now = now;
  spec.capacity = timetable::MillijoulesDown(capacity);
  spec.charge = timetable::MillijoulesDown(
      capacity * std::clamp(device.heartbeat().state_of_charge_ratio(), 0.0, 1.0));
  spec.idle = timetable::MilliwattsUp(IdlePower(device));
  spec.floor = FloorOf(snapshot, device, capacity);
  spec.first_hour = now / kHour * kHour;
  spec.harvest = timetable::HarvestPaths(sun, {});
  const double risk = LimitsFor(snapshot.policies, device.info()).sun_risk.value_or(kSunRiskUnsaid);
  spec.broken_paths_max = static_cast<int>(std::clamp(risk, 0.0, 1.0) * timetable::kHarvestPaths);
  auto pack = std::make_shared<Pack>(std::move(spec));
  const Seconds busy = std::max<Seconds>(timetable::UnixSecondsUp(free_at) - now, 1);
  const Joules above_idle =
      view.committed_energy - IdlePower(device) * absl::Seconds(static_cast<double>(busy));
  if (above_idle.value() > 0) {
    pack->Add({.job = kAttempt,
               .begin = now,
               .draw = {.length = busy,
                        .power = timetable::MilliwattsUp(
                            Watts(above_idle.value() / static_cast<double>(busy)))}});
  }
  return pack;
}

}  // namespace

std::vector<DeviceLoad> InitialLoads(const Snapshot& snapshot) {
  std::vector<DeviceLoad> loads;
  loads.reserve(snapshot.devices.size());
  for (const DeviceView& view : snapshot.devices) {
    DeviceLoad load;
    load.free_at = std::max(view.free_at, snapshot.now);
    load.committed = view.committed_energy;
    if (!view.device.running_attempt_id().empty() && view.free_at <= snapshot.now) {
      load.free_at = snapshot.now + kOverdue;
    }
    load.pack = PackOf(snapshot, view, load.free_at);
    loads.push_back(std::move(load));
  }
  return loads;
}

DeviceLoad WithRun(const DeviceLoad& load, const v1::Device& device, const PlannedRun& run) {
  // A start that went through double seconds.
  constexpr absl::Duration kRounding = absl::Milliseconds(1);
  DeviceLoad with = load;
  const Joules demand =
      GrossDemand(run.prediction, Joules(run.prediction.run_energy_joules().high()));
  if (run.begin <= load.free_at + kRounding) {
    with.free_at = run.end;
    with.committed += demand;
  } else {
    const auto behind = std::find_if(with.reserved.begin(), with.reserved.end(),
                                     [&](const Reservation& one) { return one.begin > run.begin; });
    with.reserved.insert(behind, {run.begin, std::max(run.begin, run.end), demand});
  }
  if (load.pack != nullptr) {
    const std::optional<timetable::Draw> draw = DrawOf(device, run.spec, run.prediction);
    if (!draw.has_value()) {
      with.pack = nullptr;
    } else {
      auto pack = std::make_shared<Pack>(*load.pack);
      pack->Add({.job = kPlanned, .begin = timetable::UnixSecondsUp(run.begin), .draw = *draw});
      with.pack = std::move(pack);
    }
  }
  return with;
}

DeviceLoad WithoutAttempt(const DeviceLoad& load, absl::Time free_at) {
  DeviceLoad without = load;
  without.free_at = free_at;
  without.committed = Joules(0);
  if (load.pack != nullptr) {
    auto pack = std::make_shared<Pack>(*load.pack);
    pack->Remove(kAttempt);
    without.pack = std::move(pack);
  }
  return without;
}

Joules Promised(const DeviceLoad& load) {
  Joules promised = load.committed;
  for (const Reservation& reservation : load.reserved) {
    promised += reservation.demand;
  }
  return promised;
}

std::optional<timetable::Draw> DrawOf(const v1::Device& device, const v1::JobSpec& spec,
                                      const v1::Prediction& prediction) {
  const absl::Duration length = absl::Seconds(std::max(
      1.0, prediction.time_scale() * TotalSeconds(prediction, prediction.run_seconds().high())));
  const Joules gross = GrossDemand(prediction, Joules(prediction.run_energy_joules().high()));
  const Joules held_back = policy::HeldBack(policy::PredictedStop(spec, prediction));
  if (length > kRunMax || !(gross < kPackMax) || !(held_back < kPackMax)) {
    return std::nullopt;
  }
  const double above_idle =
      gross.value() / absl::ToDoubleSeconds(length) - IdlePower(device).value();
  return timetable::Draw{.length = timetable::SecondsUp(length),
                         .power = timetable::MilliwattsUp(Watts(std::max(0.0, above_idle))),
                         .held_back = timetable::MillijoulesUp(held_back)};
}

Joules BudgetSpent(const policy::Limits& limits, const v1::Device& device, const DeviceLoad& load,
                   absl::Time now, absl::Time start) {
  const auto day = [&limits](absl::Time moment) { return policy::DayOf(*limits.budget, moment); };
  Joules spent(0);
  if (day(start) == day(now)) {
    spent = load.committed + Joules(device.heartbeat().budget_day_energy_joules());
  }
  for (const Reservation& reservation : load.reserved) {
    if (day(reservation.begin) == day(start)) {
      spent += reservation.demand;
    }
  }
  return spent;
}

}  // namespace wattle::scheduler
