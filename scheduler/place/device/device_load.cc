// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/device/device_load.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "policy/burst_power.h"
#include "policy/held_back.h"
#include "scheduler/place/device/transfer_schedule.h"
#include "scheduler/place/rules/anti_affinity.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/sun/pack_spec.h"
#include "scheduler/place/sun/reserve_pauses.h"
#include "scheduler/place/sun/sun_outlook.h"
#include "scheduler/predict/predict.h"
#include "scheduler/timetable/amounts.h"

namespace wattle::scheduler {
namespace {

using timetable::Pack;
using timetable::Seconds;

// Further time expected for an attempt that runs past its expected end, counted from each new plan.
constexpr absl::Duration kOverdue = absl::Seconds(30);
// No real run is longer, and integers of millijoules could overflow.
constexpr absl::Duration kRunMax = absl::Hours(24 * 366);
// The upper end of an interval is this many standard deviations above the mean.
constexpr double kUpperDeviations = 1.645;
// Ids of demands of packs and supplies: the plan's runs, which are never removed, and the running
// attempt of each board. The search (rearrange_internal.h) numbers its own jobs from 0.
constexpr int kPlanned = std::numeric_limits<int>::max();
int AttemptOn(size_t device) {
  return -1 - static_cast<int>(device);
}

// When the attempt of a board works.
using Pieces = std::vector<policy::WorkPiece>;

// Longest part of a later piece of an attempt that the pack can supply.
Seconds BorneBy(const Pack& pack, timetable::Demand piece) {
  constexpr int kHalvings = 7;  // To a hundredth of the piece.
  const Seconds whole = piece.draw.length;
  if (piece.end() > pack.horizon() || pack.Fits(piece)) {
    return whole;
  }
  Seconds fits = 0;
  Seconds too_long = whole;
  for (int i = 0; i < kHalvings && too_long - fits > 1; ++i) {
    piece.draw.length = std::midpoint(fits, too_long);
    (pack.Fits(piece) ? fits : too_long) = piece.draw.length;
  }
  return fits;
}

// Reserves only the charge that the pack can supply to a later piece: if reserved work already
// breaks the floor, others may take the piece's charge. The board's guard stops the rest of the
// piece, so the piece is pausable.
void AddLaterPiece(const timetable::Demand& piece, Pack& pack) {
  timetable::Demand borne = piece;
  borne.draw.length = BorneBy(pack, piece);
  timetable::Demand rest = piece;
  rest.begin += borne.draw.length;
  rest.draw.length -= borne.draw.length;
  rest.draw.pausable = true;
  for (const timetable::Demand& part : {borne, rest}) {
    if (part.draw.length > 0) {
      pack.Add(part);
    }
  }
}

// Adds the attempt that the board runs, with its draw above idle. An attempt that may rest does so
// if the pack cannot supply the rest of its work, and then occupies the board for longer.
void AddAttempt(const DeviceView& view, size_t device, Pieces& pieces, Pack& pack) {
  std::vector<timetable::Demand> demands;
  Seconds work = 0;
  for (const policy::WorkPiece& piece : pieces) {
    const Seconds begin = std::max(absl::ToUnixSeconds(piece.begin), pack.spec().now);
    const Seconds length = std::max<Seconds>(timetable::UnixSecondsUp(piece.end) - begin, 1);
    demands.push_back(
        {.job = AttemptOn(device), .begin = begin, .draw = {.length = length, .power = 0}});
    work += length;
  }
  const Joules above_idle =
      view.committed_energy - IdlePowerOf(view.device) * absl::Seconds(static_cast<double>(work));
  if (above_idle <= Joules(0)) {
    return;
  }
  for (timetable::Demand& run : demands) {
    run.draw.power = timetable::MilliwattsUp(Watts(above_idle.value() / static_cast<double>(work)));
    if (run.begin >= pack.horizon()) {
      break;
    }
    if (view.rests_at_reserve.has_value() && demands.size() == 1) {
      const auto& [held_back, restart] = *view.rests_at_reserve;
      timetable::Demand guarded = run;
      guarded.draw.held_back = timetable::MillijoulesUp(held_back);
      if (!pack.Fits(guarded)) {
        const Seconds end = pack.EndIfPaused(guarded, timetable::SecondsUp(restart), kDarkerMean)
                                .value_or(pack.horizon());
        run = guarded;
        run.draw.pausable = true;
        run.draw.length = std::max(work, end - run.begin);
        pieces.back().end = std::max(pieces.back().end, absl::FromUnixSeconds(end));
      }
    } else if (run.begin > pack.spec().now) {
      AddLaterPiece(run, pack);
      continue;
    }
    pack.Add(run);
  }
}

void AddAttempt(const DeviceView& view, size_t device, const Pieces& pieces,
                timetable::Supply& supply) {
  for (const policy::WorkPiece& piece : pieces) {
    const Seconds begin = absl::ToUnixSeconds(piece.begin);
    supply.Add({.job = AttemptOn(device),
                .begin = begin,
                .length = timetable::UnixSecondsUp(piece.end) - begin,
                .power = SupplyPowerOf(view.device, view.running_power)});
  }
}

// Divides the joules among the budget days in which they are drawn.
void AddJoulesOfDays(const Pieces& pieces, Joules joules, DeviceLoad& load) {
  if (load.times == nullptr || !load.times->budget.has_value()) {
    return;
  }
  absl::Duration work;
  for (const policy::WorkPiece& piece : pieces) {
    work += piece.end - piece.begin;
  }
  for (const policy::WorkPiece& piece : pieces) {
    load.joules_of_day[policy::DayOf(*load.times->budget, piece.begin)] +=
        joules * absl::FDivDuration(piece.end - piece.begin, work);
  }
}

// Divides the joules of a run that ends at `end`, including its pauses.
void AddJoulesOfDays(const PlannedRun& run, Joules joules, DeviceLoad& load) {
  if (load.times == nullptr || !load.times->budget.has_value()) {
    return;
  }
  const v1::Prediction& prediction = run.prediction;
  const absl::Time end = std::max(run.end, run.begin + absl::Seconds(1));
  Pieces pieces = PiecesOf(
      load.times.get(),
      {.begin = run.begin,
       .work = end - run.begin,
       .draw = Watts(prediction.mean_power_watts() / std::max(prediction.time_scale(), 1e-9)),
       .spent = BudgetSpent(load, run.begin)});
  CutAt(end, pieces);
  AddJoulesOfDays(pieces.empty() ? Pieces{{run.begin, end}} : pieces, joules, load);
}

BoardHeat HeatAfterAttempt(const DeviceView& view, const Pieces& pieces, BoardHeat heat) {
  for (const policy::WorkPiece& piece : pieces) {
    heat = HeatAfter(view.device, heat, IdlePowerOf(view.device), piece.begin);
    heat = HeatAfter(view.device, heat, view.running_power, piece.end);
  }
  return heat;
}

Joules DrawnToday(const DeviceView& view) {
  return Joules(view.device.heartbeat().budget_day_energy_joules());
}

// The load of a board that shares no power. attempt: receives the pieces of its attempt.
DeviceLoad LoadOf(const Snapshot& snapshot, const DeviceView& view, Pieces& attempt) {
  const policy::Limits limits = LimitsFor(snapshot.policies, view.device.info());
  DeviceLoad load;
  load.free_at = std::max(view.free_at, snapshot.now);
  load.committed = view.committed_energy;
  load.times = WorkTimesOf(limits);
  if (!view.device.running_attempt_id().empty() && view.free_at <= snapshot.now) {
    load.free_at = snapshot.now + kOverdue;
  }
  if (limits.budget.has_value()) {
    load.joules_of_day[policy::DayOf(*limits.budget, snapshot.now)] = DrawnToday(view);
  }
  if (std::optional<WorkAhead> ahead = AttemptAhead(view, load.free_at, snapshot.now)) {
    ahead->spent = BudgetSpent(load, ahead->begin);
    attempt = PiecesOf(view.hands_over ? nullptr : load.times.get(), *ahead);
    load.free_at = attempt.empty() ? snapshot.now + kNeverEnds : attempt.back().end;
    AddJoulesOfDays(attempt, load.committed, load);
  }
  if (view.device.heartbeat().has_heat_model()) {
    load.heat = HeatAfterAttempt(
        view, attempt, HeatNow(view.device, HeatLimitFor(view.device, limits), snapshot.now));
  }
  return load;
}

// Null: charge, sun or an idle draw is unknown. Delays the end of an attempt that rests.
std::shared_ptr<const Pack> PackOf(const PackBoards& on, std::vector<Pieces>& attempts,
                                   std::vector<DeviceLoad>& loads) {
  const auto is_known = [&on](size_t i) {
    const DeviceView& view = on.snapshot.devices[i];
    return HasKnownIdle(view.device) && view.committed_energy < kPackMax;
  };
  if (!HasKnownSun(on.gauge) || !std::all_of(on.devices.begin(), on.devices.end(), is_known)) {
    return nullptr;
  }
  auto pack = std::make_shared<Pack>(SpecOf(on));
  for (const size_t i : on.devices) {
    if (!attempts[i].empty()) {
      AddAttempt(on.snapshot.devices[i], i, attempts[i], *pack);
      loads[i].free_at = attempts[i].back().end;
    }
  }
  return pack;
}

void SharePack(const Snapshot& snapshot, const std::vector<size_t>& devices,
               std::vector<Pieces>& attempts, std::vector<DeviceLoad>& loads) {
  const std::optional<size_t> gauge = BestGauge(snapshot, devices);
  if (!gauge.has_value()) {
    return;
  }
  const PackBoards on{snapshot, devices, snapshot.devices[*gauge]};
  const std::shared_ptr<const Pack> pack = PackOf(on, attempts, loads);
  Joules promised(0);
  for (const size_t i : devices) {
    promised += Promised(loads[i]);
  }
  for (const size_t i : devices) {
    loads[i].pack = pack;
    loads[i].gauge = gauge;
    loads[i].promised_by_others = promised - Promised(loads[i]);
    loads[i].idle_of_others = on.idle() - IdlePowerOf(snapshot.devices[i].device);
  }
}

void ShareSupply(const Snapshot& snapshot, const PowerGroup& group,
                 const std::vector<Pieces>& attempts, std::vector<DeviceLoad>& loads) {
  timetable::Milliwatts idle = 0;
  for (const size_t i : group.devices) {
    idle += timetable::MilliwattsUp(std::min(IdlePowerOf(snapshot.devices[i].device), kPowerMax));
  }
  timetable::Supply supply({.cap = timetable::MilliwattsDown(*group.cap), .idle = idle});
  for (const size_t i : group.devices) {
    AddAttempt(snapshot.devices[i], i, attempts[i], supply);
  }
  const auto shared = std::make_shared<const timetable::Supply>(std::move(supply));
  for (const size_t i : group.devices) {
    loads[i].supply = shared;
  }
}

}  // namespace

std::vector<DeviceLoad> InitialLoads(const Snapshot& snapshot) {
  std::vector<DeviceLoad> loads;
  loads.reserve(snapshot.devices.size());
  std::vector<Pieces> attempts(snapshot.devices.size());
  for (size_t i = 0; i < snapshot.devices.size(); ++i) {
    loads.push_back(LoadOf(snapshot, snapshot.devices[i], attempts[i]));
  }
  std::vector<std::shared_ptr<const PowerGroup>> groups;
  for (PowerGroup& made : PowerGroupsOf(snapshot)) {
    const auto& group = groups.emplace_back(std::make_shared<const PowerGroup>(std::move(made)));
    for (const size_t i : group->devices) {
      loads[i].group = group;
    }
    if (group->shared_pack) {
      SharePack(snapshot, group->devices, attempts, loads);
    }
  }
  for (size_t i = 0; i < loads.size(); ++i) {
    if (loads[i].group == nullptr || !loads[i].group->shared_pack) {
      const std::vector<size_t> alone = {i};
      loads[i].pack = PackOf({snapshot, alone, snapshot.devices[i]}, attempts, loads);
    }
  }
  for (const auto& group : groups) {  // After the packs, which determine how long attempts rest.
    if (group->cap.has_value()) {
      ShareSupply(snapshot, *group, attempts, loads);
    }
  }
  HoldAntiAffinity(snapshot, loads);
  AddTransferSchedules(snapshot, loads);
  return loads;
}

std::optional<HeatLimit> HeatLimitFor(const v1::Device& device, const policy::Limits& limits) {
  return HeatLimitOf(device, limits.temperature_max
                                 ? std::optional(limits.temperature_max->temperature)
                                 : std::nullopt);
}

BoardHeat HeatAt(const v1::Device& device, const DeviceLoad& load, absl::Time start) {
  const Watts idle = IdlePowerOf(device);
  BoardHeat heat = load.heat;
  for (const Reservation& run : load.reserved) {
    if (run.begin >= start) {
      break;
    }
    heat = HeatAfter(device, heat, idle, run.begin);
    heat = HeatAfter(device, heat, run.power, std::min(run.end, start));
  }
  return HeatAfter(device, heat, idle, start);
}

DeviceLoad WithRun(const DeviceLoad& load, const v1::Device& device, const PlannedRun& run) {
  // Tolerance for a start that was converted to double seconds.
  constexpr absl::Duration kRounding = absl::Milliseconds(1);
  DeviceLoad with = load;
  const Joules demand =
      GrossDemand(run.prediction, Joules(run.prediction.run_energy_joules().high()));
  AddJoulesOfDays(run, demand, with);
  if (run.begin <= load.free_at + kRounding) {
    with.free_at = run.end;
    with.committed += demand;
    if (device.heartbeat().has_heat_model()) {
      const BoardHeat begin = HeatAfter(device, load.heat, IdlePowerOf(device), run.begin);
      with.heat = HeatAfter(device, begin, policy::BurstPower(run.prediction), run.end);
    }
  } else {
    const auto behind = std::find_if(with.reserved.begin(), with.reserved.end(),
                                     [&](const Reservation& one) { return one.begin > run.begin; });
    with.reserved.insert(behind, {run.begin, std::max(run.begin, run.end), demand,
                                  policy::BurstPower(run.prediction)});
  }
  if (load.pack != nullptr) {
    const std::optional<timetable::Draw> draw =
        DrawOf(device, policy::StepsOf(run.job.spec), run.prediction);
    if (!draw.has_value()) {
      with.pack = nullptr;
    } else {
      auto pack = std::make_shared<Pack>(*load.pack);
      pack->Add({.job = kPlanned, .begin = timetable::UnixSecondsUp(run.begin), .draw = *draw});
      with.pack = std::move(pack);
    }
  }
  if (load.supply != nullptr) {
    auto supply = std::make_shared<timetable::Supply>(*load.supply);
    const timetable::Milliwatts power = SupplyPowerOf(device, policy::BurstPower(run.prediction));
    for (const timetable::SupplyRun& piece : SupplyRunsOf(load, run.begin, run.end, power)) {
      supply->Add(piece);
    }
    with.supply = std::move(supply);
  }
  AddTransfersOfRun(device, run, with);
  return with;
}

DeviceLoad WithoutAttempt(const Snapshot& snapshot, const DeviceLoad& load, size_t device,
                          absl::Time free_at) {
  DeviceLoad without = load;
  without.free_at = free_at;
  without.committed = Joules(0);
  without.joules_of_day.clear();
  if (load.times != nullptr && load.times->budget.has_value()) {
    without.joules_of_day[policy::DayOf(*load.times->budget, snapshot.now)] =
        DrawnToday(snapshot.devices[device]);
  }
  if (load.pack != nullptr) {
    auto pack = std::make_shared<Pack>(*load.pack);
    pack->Remove(AttemptOn(device));
    without.pack = std::move(pack);
  }
  if (load.supply != nullptr) {
    auto supply = std::make_shared<timetable::Supply>(*load.supply);
    supply->Remove(AttemptOn(device));
    without.supply = std::move(supply);
  }
  return without;
}

DeviceLoad WithAttemptLater(const Snapshot& snapshot, const DeviceLoad& load, size_t device,
                            absl::Time begin, absl::Duration work) {
  const DeviceView& view = snapshot.devices[device];
  DeviceLoad with = load;
  Pieces pieces = PiecesOf(load.times.get(), {.begin = begin,
                                              .work = std::max(work, absl::Seconds(1)),
                                              .draw = DrawOfAttempt(view),
                                              .spent = BudgetSpent(load, begin)});
  if (load.pack != nullptr && !pieces.empty()) {
    auto pack = std::make_shared<Pack>(*load.pack);
    AddAttempt(view, device, pieces, *pack);
    with.pack = std::move(pack);
  }
  if (load.supply != nullptr) {
    auto supply = std::make_shared<timetable::Supply>(*load.supply);
    AddAttempt(view, device, pieces, *supply);
    with.supply = std::move(supply);
  }
  if (view.device.heartbeat().has_heat_model()) {
    with.heat = HeatAfterAttempt(view, pieces, load.heat);
  }
  with.committed += view.committed_energy;
  AddJoulesOfDays(pieces, view.committed_energy, with);
  with.free_at = pieces.empty() ? begin + kNeverEnds : pieces.back().end;
  return with;
}

void SetLoad(size_t device, DeviceLoad load, FleetLoads& loads) {
  SetLoad(device, std::make_shared<const DeviceLoad>(std::move(load)), loads);
}

void SetLoad(size_t device, std::shared_ptr<const DeviceLoad> load, FleetLoads& loads) {
  const Joules more =
      load->group != nullptr ? Promised(*load) - Promised(loads[device]) : Joules(0);
  loads.Set(device, std::move(load));
  const DeviceLoad& changed = loads[device];
  if (changed.link != nullptr) {
    for (const size_t other : changed.link->devices) {
      if (loads[other].link != changed.link) {
        loads.Mutable(other).link = changed.link;
      }
    }
  }
  if (changed.group == nullptr) {
    return;
  }
  for (const size_t other : changed.group->devices) {
    if (other == device) {
      continue;
    }
    DeviceLoad& shares = loads.Mutable(other);
    shares.supply = changed.supply;
    if (changed.group->shared_pack) {
      shares.pack = changed.pack;
      shares.promised_by_others += more;
    }
  }
}

const v1::Device& GaugeDevice(const Snapshot& snapshot, const DeviceView& view,
                              const DeviceLoad& load) {
  return load.gauge.has_value() ? snapshot.devices[*load.gauge].device : view.device;
}

timetable::Milliwatts SupplyPowerOf(const v1::Device& device, Watts mean) {
  return timetable::MilliwattsUp(std::clamp(mean - IdlePowerOf(device), Watts(0), kPowerMax));
}

Joules Promised(const DeviceLoad& load) {
  Joules promised = load.committed;
  for (const Reservation& reservation : load.reserved) {
    promised += reservation.demand;
  }
  return promised;
}

std::optional<timetable::Draw> DrawOf(const v1::Device& device, const policy::SpecSteps& steps,
                                      const v1::Prediction& prediction) {
  std::optional<timetable::Draw> draw = WholeDrawOf(device, steps, prediction);
  if (draw.has_value() && prediction.rest_seconds() > 0) {
    draw->pausable = true;
    draw->length += timetable::SecondsUp(absl::Seconds(prediction.rest_seconds()));
  }
  return draw;
}

std::optional<timetable::Draw> WholeDrawOf(const v1::Device& device, const policy::SpecSteps& steps,
                                           const v1::Prediction& prediction) {
  const absl::Duration length = absl::Seconds(std::max(
      1.0, prediction.time_scale() * TotalSeconds(prediction, prediction.run_seconds().mean())));
  const Joules gross = GrossDemand(prediction, Joules(prediction.run_energy_joules().mean()));
  const Joules high = GrossDemand(prediction, Joules(prediction.run_energy_joules().high()));
  const Joules held_back = policy::HeldBack(policy::PredictedStop(steps, prediction));
  if (length > kRunMax || !(high < kPackMax) || !(held_back < kPackMax)) {
    return std::nullopt;
  }
  const double above_idle =
      gross.value() / absl::ToDoubleSeconds(length) - IdlePowerOf(device).value();
  const Watts deviation((high - gross).value() / kUpperDeviations / absl::ToDoubleSeconds(length));
  return timetable::Draw{.length = timetable::SecondsUp(length),
                         .power = timetable::MilliwattsUp(Watts(std::max(0.0, above_idle))),
                         .deviation = timetable::MilliwattsUp(std::max(Watts(0), deviation)),
                         .held_back = timetable::MillijoulesUp(held_back)};
}

std::vector<timetable::SupplyRun> SupplyRunsOf(const DeviceLoad& load, absl::Time begin,
                                               absl::Time end, timetable::Milliwatts power) {
  Pieces pieces;
  if (load.times != nullptr && !load.times->windows.always() && begin < end) {
    pieces = policy::PiecesUnder(load.times->windows, std::nullopt,
                                 {.start = begin, .work = end - begin});
    CutAt(end, pieces);
  }
  if (pieces.empty()) {
    pieces = {{begin, end}};
  }
  std::vector<timetable::SupplyRun> runs;
  for (const policy::WorkPiece& piece : pieces) {
    runs.push_back({.job = kPlanned,
                    .begin = timetable::UnixSecondsUp(piece.begin),
                    .length = std::max<Seconds>(1, timetable::SecondsUp(piece.end - piece.begin)),
                    .power = power});
  }
  return runs;
}

Joules BudgetSpent(const DeviceLoad& load, absl::Time start) {
  if (load.times == nullptr || !load.times->budget.has_value()) {
    return Joules(0);
  }
  const auto day = load.joules_of_day.find(policy::DayOf(*load.times->budget, start));
  return day == load.joules_of_day.end() ? Joules(0) : day->second;
}

}  // namespace wattle::scheduler
