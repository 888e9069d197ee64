// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keeps the reserve over the whole predicted run. The rule counts the upper quantile of the run's
// gross joules, the joules that the running attempt still draws, and the joules that the guard
// holds back (policy/held_back.h). Without a policy the only limit is an empty battery.
//
// The boards of a shared pack (Policy.power_group) share one charge: the best gauge among them
// measures it, and the promised joules and the idle draw of all boards count.
//
// If the sun of past days is known, the device's pack decides (scheduler/timetable/pack.h): the
// charge follows the sun, the idle draw and all planned runs. The guard itself never counts on sun.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "policy/held_back.h"
#include "scheduler/battery/charge.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/queue/start_spans.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/sun/reserve_pauses.h"
#include "scheduler/predict/predict.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/pack.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

constexpr int kHoursOfDay = 24;
constexpr timetable::Seconds kDaysToEnd = 2 * kHoursOfDay * timetable::kHour;

// The run's demand on a battery without sun.
struct Drain {
  // Whether even a full battery without promises would not suffice.
  [[nodiscard]] bool lasting() const {
    return needed().value() - battery.committed / battery.capacity > 1;
  }
  [[nodiscard]] Fraction needed() const {
    return ChargeNeeded(battery, demand, margin, limit.state_of_charge);
  }

  BatteryState battery;
  Joules demand;
  Joules margin;
  policy::ReserveLimit limit;
};

std::string WordsOf(const Drain& drain) {
  const auto& [battery, demand, margin, limit] = drain;
  const Fraction reserve = limit.state_of_charge;
  const Fraction after = ChargeAfter(battery, demand + margin);
  const Fraction needed = drain.needed();
  const Joules kept = reserve.value() * battery.capacity;
  const std::string rule =
      limit.policy.empty()
          ? std::string("empty is 0 %")
          : absl::StrCat("the reserve is ", FormatPercent(reserve), " (policy ", limit.policy, ")");
  const std::string remedy =
      needed.value() <= 1
          ? absl::StrCat("feasible from ", FormatPercent(needed), " of charge, or with ",
                         FormatEnergy(Shortfall(battery, demand, margin, reserve)), " less work")
      : drain.lasting()
          ? absl::StrCat("its battery of ", FormatEnergy(battery.capacity), " is too small for ",
                         FormatEnergy(demand),
                         kept > Joules(0)
                             ? absl::StrCat(" beside the ", FormatEnergy(kept), " that it keeps")
                             : "")
          : absl::StrCat("the work that it has already may draw up to ",
                         FormatEnergy(battery.committed), "; feasible once that has ended");
  return absl::StrCat("at ", FormatPercent(battery.charge), ", might end at ",
                      FormatPercent(std::max(after, Fraction(0))), ", ", rule, "; ", remedy);
}

Refusal RefusalFor(const DeviceEvaluation& on, const Drain& drain) {
  return Refuse(
      on, [&] { return WordsOf(drain); }, drain.lasting());
}

// For a device without a gauge: the policy decides whether it is refused.
std::optional<Refusal> WithoutGauge(const DeviceEvaluation& on) {
  const policy::Limits& limits = on.limits;
  if (limits.refuses_missing_gauge.empty()) {
    return std::nullopt;
  }
  return Refuse(
      on,
      [&] {
        return absl::StrCat("it has no battery gauge, and policy ", limits.refuses_missing_gauge,
                            " refuses devices whose reserve cannot be guarded; feasible with "
                            "missing_gauge: warn");
      },
      true);
}

// The gauge reports no capacity, so the job's joules cannot be expressed as a share of the battery.
// Only the guard's own threshold can be checked.
std::optional<Refusal> WithoutCapacity(const DeviceEvaluation& on, const v1::Device& device,
                                       const policy::ReserveLimit& reserve) {
  const Fraction charge(device.heartbeat().state_of_charge_ratio());
  const policy::Gauge gauge = GaugeOf(device);
  const policy::StopEstimate stop = policy::PredictedStop(on.steps, on.prediction);
  const Fraction needed = policy::StopThreshold(reserve.state_of_charge, gauge, stop);
  if (charge > needed) {
    return std::nullopt;
  }
  return Refuse(on, [&] {
    return absl::StrCat("at ", FormatPercent(charge), ", the reserve is ",
                        FormatPercent(reserve.state_of_charge), " (policy ", reserve.policy,
                        "); feasible above ", FormatPercent(needed), " of charge");
  });
}

timetable::Seconds StartOf(const DeviceEvaluation& on) {
  return timetable::SecondsUp(on.start() - absl::UnixEpoch());
}

// The run on the device's pack. nullopt: the sun is unknown, or the run ends after the pack's
// horizon.
std::optional<timetable::Demand> DemandOnPack(const DeviceEvaluation& on) {
  if (on.load->pack == nullptr) {
    return std::nullopt;
  }
  const std::optional<timetable::Draw> draw = DrawOf(on.device.device, on.steps, on.prediction);
  if (!draw.has_value()) {
    return std::nullopt;
  }
  timetable::Demand demand{.begin = StartOf(on), .draw = *draw};
  const timetable::Seconds left = on.load->pack->horizon() - demand.begin;
  if (draw->pausable && left > 0) {  // Work after the horizon may rest if it must.
    demand.draw.length = std::min(demand.draw.length, left);
  }
  return demand.end() <= on.load->pack->horizon() ? std::optional(demand) : std::nullopt;
}

// The run if it may rest. Such a run may end after the pack's horizon.
std::optional<PausableRun> PausableRunOn(const DeviceEvaluation& on) {
  return PausableRunOf({on.device.device, *on.load, on.limits, on.steps, on.prediction}, on.job,
                       on.snapshot.now);
}

std::optional<absl::Time> EarliestFit(const DeviceEvaluation& on) {
  const std::optional<timetable::Demand> demand = DemandOnPack(on);
  const std::optional<PausableRun> resting = PausableRunOn(on);
  if (!demand.has_value() && !resting.has_value()) {
    return std::nullopt;
  }
  const std::optional<timetable::Seconds> start =
      resting.has_value() ? EarliestStart(*resting, StartOf(on))
                          : on.load->pack->EarliestFit(demand->draw, demand->begin);
  return start.has_value() ? std::optional(absl::FromUnixSeconds(*start)) : std::nullopt;
}

// Whether the device reports its sun by the hour and has not seen each hour of a day yet.
bool SunIsNew(const v1::Device& device) {
  const auto& hours = device.ledger().harvest_power_watts_by_hour();
  return std::any_of(hours.begin(), hours.end(), [](double watts) { return watts < 0; });
}

// On its first day a board's sun is unknown, so no refusal of that day is permanent.
Refusal UntilADayIsSeen(const DeviceEvaluation& on, const v1::Device& device, Refusal refusal) {
  if (refusal.permanent && SunIsNew(device)) {
    refusal.permanent = false;
    if (on.explains) {
      absl::StrAppend(&refusal.reason, ", unless sun comes: it has not seen a whole day yet");
    }
  }
  return refusal;
}

// Whether the run, or the first part of one that rests, would fit into a full battery at some hour
// of a day: of the day after its start, or of a day within the pack's horizon.
bool FitsWhenFull(const DeviceEvaluation& on) {
  if (on.load->pack == nullptr) {
    return false;
  }
  const timetable::Pack& pack = *on.load->pack;
  const std::optional<PausableRun> resting = PausableRunOn(on);
  const std::optional<timetable::Draw> draw =
      resting.has_value() ? FirstPartOf(*resting)
                          : DrawOf(on.device.device, on.steps, on.prediction);
  // A run that begins within the day after `first` has another day to end in.
  const timetable::Seconds first =
      std::max(pack.spec().now, std::min(StartOf(on), pack.horizon() - kDaysToEnd));
  for (int hour = 0; draw.has_value() && hour < kHoursOfDay; ++hour) {
    const timetable::Seconds begin = first + hour * timetable::kHour;
    if (begin < pack.horizon() && pack.FitsWhenFull(*draw, begin)) {
      return true;
    }
  }
  return false;
}

// "past days", "past days (40 %) and forecast weather (60 %)".
std::string SunSources(const DeviceEvaluation& on) {
  const DeviceView& gauge =
      on.load->gauge.has_value() ? on.snapshot.devices[*on.load->gauge] : on.device;
  if (!gauge.sun_forecast.has_value()) {
    return "past days";
  }
  const auto percent = static_cast<int>(gauge.sun_forecast->trust / 10);
  return absl::StrCat("past days (", 100 - percent, " %) and forecast ", gauge.sun_forecast->name,
                      " (", percent, " %)");
}

// " (90 %: 1 h 15 min to 2 h 55 min), when its pack has 54 %", for an earliest start.
std::string StartWords(const DeviceEvaluation& on, absl::Time start) {
  const std::optional<PausableRun> resting = PausableRunOn(on);
  const timetable::Pack& pack = *on.load->pack;
  const timetable::Draw draw = resting.has_value() ? FirstPartOf(*resting) : DemandOnPack(on)->draw;
  std::string words;
  if (const auto span = SpanUnderSun(pack, draw, start, {on.start(), on.start()});
      span.has_value() && span->low < span->high) {
    absl::StrAppend(&words, " (90 %: ", FormatElapsed(span->low - on.snapshot.now), " to ",
                    FormatElapsed(span->high - on.snapshot.now), ")");
  }
  const timetable::Demand run{.begin = timetable::UnixSecondsUp(start), .draw = draw};
  if (run.end() <= pack.horizon()) {
    const double charge = static_cast<double>(pack.MedianCharge(run, run.end()).begin);
    absl::StrAppend(&words, ", when its pack has ",
                    FormatPercent(Fraction(charge / static_cast<double>(pack.spec().capacity))));
  }
  return words;
}

// The refusal if no start is found: the start is beyond the pack's horizon, or no day within it is
// bright enough. The refusal is permanent only for a run that fits at no hour of a day into a
// battery that brighter days have filled.
Refusal UntilBrighterDays(const DeviceEvaluation& on, Refusal refusal) {
  if (FitsWhenFull(on)) {
    refusal.permanent = false;
    if (on.explains) {
      absl::StrAppend(&refusal.reason,
                      " without sun; feasible by day once brighter days filled it");
    }
  }
  return refusal;
}

// The refusal if the sun counts. During a run the sun may supply more than the battery's capacity.
Refusal RefusalUnderSun(const DeviceEvaluation& on, Refusal refusal) {
  if (!refusal.permanent && !on.dry_run) {
    return refusal;  // A queue gets the time from allowed_from.
  }
  if (const std::optional<absl::Time> start = EarliestFit(on); start.has_value()) {
    refusal.permanent = false;
    if (on.explains) {
      absl::StrAppend(&refusal.reason, "; with the sun of ", SunSources(on), " feasible in ",
                      FormatElapsed(*start - on.snapshot.now), StartWords(on, *start));
    }
    return refusal;
  }
  return UntilBrighterDays(on, std::move(refusal));
}

// If the idle draw was never measured, the job's own draw replaces it, as in the guard.
Watts IdlePower(const DeviceEvaluation& on) {
  for (const double watts : {on.device.device.heartbeat().idle_power_watts(),
                             on.device.device.info().idle_power_watts()}) {
    if (watts > 0) {
      return Watts(watts);
    }
  }
  return Watts(on.prediction.mean_power_watts());
}

// The charge that the battery must hold at the end of the run: the reserve, and the energy that the
// device needs to stay alive. In a shared pack the board with the largest demand decides.
std::optional<policy::ReserveLimit> FloorAtEnd(const DeviceEvaluation& on,
                                               std::optional<Joules> capacity) {
  const absl::Time end = on.snapshot.now + absl::Seconds(on.finish_in_seconds_upper);
  const Watts idle = IdlePower(on) + on.load->idle_of_others;
  std::optional<policy::ReserveLimit> largest;
  const auto count = [&](const policy::Limits& limits) {
    std::optional<policy::ReserveLimit> floor = policy::ChargeFloor(limits, end, idle, capacity);
    if (floor && (!largest || floor->state_of_charge > largest->state_of_charge)) {
      largest = std::move(floor);
    }
  };
  count(on.limits);
  if (on.load->gauge.has_value()) {
    for (const size_t i : on.load->group->devices) {
      count(LimitsFor(on.snapshot.policies, on.snapshot.devices[i].device.info()));
    }
  }
  return largest;
}

std::optional<Refusal> CheckBatteryReserve(const DeviceEvaluation& on) {
  const v1::Device& device = GaugeDevice(on.snapshot, on.device, *on.load);
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
  // The guard of a board without a gauge cannot guard, even if another board of the pack has one.
  if (!HasGauge(on.device.device)) {
    if (std::optional<Refusal> refusal = WithoutGauge(on); refusal.has_value()) {
      return refusal;
    }
  }
  // A run that never begins drains no pack; the rule of windows gives the reason.
  const bool opens =
      on.windows.always() || on.windows.OpensAt(on.start()) != absl::InfiniteFuture();
  if (!HasGauge(device) || !opens) {
    return std::nullopt;
  }
  const std::optional<policy::ReserveLimit> reserve = FloorAtEnd(on, GaugeOf(device).capacity);
  if (!device.heartbeat().has_battery()) {
    return reserve ? std::optional<Refusal>(Refuse(
                         on,
                         [&] {
                           return absl::StrCat("its state of charge is not known yet and policy ",
                                               reserve->policy,
                                               " sets a reserve; feasible once it reports");
                         }))
                   : std::nullopt;
  }
  const Fraction charge(device.heartbeat().state_of_charge_ratio());
  const policy::Gauge gauge = GaugeOf(device);
  if (!gauge.capacity) {
    return reserve ? WithoutCapacity(on, device, *reserve) : std::nullopt;
  }
  // The other boards of the pack idle during the run.
  const Joules demand =
      GrossDemand(on.prediction, Joules(on.prediction.run_energy_joules().high())) +
      on.load->idle_of_others *
          absl::Seconds(std::max(0.0, on.finish_in_seconds_upper - on.start_in_seconds));
  const Joules margin = reserve ? policy::HeldBack(policy::PredictedStop(on.steps, on.prediction)) +
                                      capacity * gauge.error.value()
                                : Joules(0);
  const Drain drain{.battery = {capacity, charge, Promised(*on.load) + on.load->promised_by_others},
                    .demand = demand,
                    .margin = margin,
                    .limit = reserve.value_or(policy::ReserveLimit{})};
  const bool holds =
      Shortfall(drain.battery, demand, margin, drain.limit.state_of_charge).value() <= 0;
  if (const std::optional<timetable::Demand> run = DemandOnPack(on); run.has_value()) {
    if (on.load->pack->Fits(*run)) {
      return std::nullopt;
    }
    const auto words = [] {
      return "its charge then is not enough for the run and for the jobs that come first";
    };
    return UntilADayIsSeen(on, device,
                           RefusalUnderSun(on, holds ? Refuse(on, words) : RefusalFor(on, drain)));
  }
  if (holds) {
    return std::nullopt;
  }
  Refusal refusal = RefusalFor(on, drain);
  return UntilADayIsSeen(on, device,
                         refusal.permanent ? UntilBrighterDays(on, std::move(refusal)) : refusal);
}

}  // namespace

extern const Rule kBatteryReserveRule = {"battery_reserve", RuleScope::kLoad, CheckBatteryReserve,
                                         EarliestFit, "its battery has too little charge"};

}  // namespace wattle::scheduler
