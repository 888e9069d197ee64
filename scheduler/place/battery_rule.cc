// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keeps the reserve over the whole predicted run. Counted are the upper quantile of the run's gross
// joules, the joules that the running attempt still draws, and the joules that the guard holds back
// (policy/held_back.h). Without a policy the only limit is an empty battery.
#include "absl/strings/str_cat.h"

#include "policy/held_back.h"
#include "scheduler/battery/charge.h"
#include "scheduler/place/rule.h"
#include "scheduler/place/selector.h"
#include "scheduler/predict/predict.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

Refusal RefusalFor(const BatteryState& battery, Joules demand, Joules margin,
                   const policy::ReserveLimit& limit) {
  const Fraction reserve = limit.state_of_charge;
  const Fraction after = ChargeAfter(battery, demand + margin);
  const Fraction needed = ChargeNeeded(battery, demand, margin, reserve);
  const std::string rule =
      limit.policy.empty()
          ? std::string("empty is 0 %")
          : absl::StrCat("the reserve is ", FormatPercent(reserve), " (policy ", limit.policy, ")");
  const std::string remedy =
      needed.value() <= 1
          ? absl::StrCat("feasible from ", FormatPercent(needed), " of charge, or with ",
                         FormatEnergy(Shortfall(battery, demand, margin, reserve)), " less work")
          : absl::StrCat("its battery of ", FormatEnergy(battery.capacity), " is too small for ",
                         FormatEnergy(demand));
  return Refusal{
      absl::StrCat("at ", FormatPercent(battery.charge), ", might end at ",
                   FormatPercent(std::max(after, Fraction(0))), ", ", rule, "; ", remedy),
      needed.value() - battery.committed / battery.capacity > 1};
}

// The device has no gauge. The policy says whether that refuses the device.
std::optional<Refusal> WithoutGauge(const policy::Limits& limits) {
  if (limits.refuses_missing_gauge.empty()) {
    return std::nullopt;
  }
  return Refusal{absl::StrCat("it has no battery gauge, and policy ", limits.refuses_missing_gauge,
                              " refuses devices whose reserve cannot be guarded; feasible with "
                              "missing_gauge: MISSING_GAUGE_WARN"),
                 true};
}

// The gauge reports no capacity, so the job's joules are no share of the battery. Only the guard's
// own threshold can be checked.
std::optional<Refusal> WithoutCapacity(Fraction charge, const policy::ReserveLimit& reserve,
                                       const policy::Gauge& gauge,
                                       const policy::StopEstimate& stop) {
  const Fraction needed = policy::StopThreshold(reserve.state_of_charge, gauge, stop);
  if (charge > needed) {
    return std::nullopt;
  }
  return Refusal{absl::StrCat("at ", FormatPercent(charge), ", the reserve is ",
                              FormatPercent(reserve.state_of_charge), " (policy ", reserve.policy,
                              "); feasible above ", FormatPercent(needed), " of charge")};
}

// If the idle draw was never measured, the job's own draw replaces it, as in the guard.
Watts IdlePower(const Consideration& on) {
  for (const double watts : {on.device.device.heartbeat().idle_power_watts(),
                             on.device.device.info().idle_power_watts()}) {
    if (watts > 0) {
      return Watts(watts);
    }
  }
  return Watts(on.prediction.mean_power_watts());
}

std::optional<Refusal> CheckBatteryReserve(const Consideration& on) {
  const v1::Device& device = on.device.device;
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
  policy::Limits limits = LimitsFor(on.snapshot.policies, device.info());
  // At the end of the run the battery must hold the reserve and the charge that the device needs to
  // stay alive.
  limits.reserve =
      policy::ChargeFloor(limits, on.snapshot.now + absl::Seconds(on.finish_in_seconds_upper),
                          IdlePower(on), GaugeOf(device).capacity);
  if (!HasGauge(device)) {
    return WithoutGauge(limits);
  }
  if (!device.heartbeat().has_battery()) {
    return limits.reserve
               ? std::optional<Refusal>(Refusal{absl::StrCat(
                     "its state of charge is not known yet and policy ", limits.reserve->policy,
                     " sets a reserve; feasible once it reports")})
               : std::nullopt;
  }
  const Fraction charge(device.heartbeat().state_of_charge_ratio());
  const policy::Gauge gauge = GaugeOf(device);
  const policy::StopEstimate stop = policy::PredictedStop(on.job.spec, on.prediction);
  if (!gauge.capacity) {
    return limits.reserve ? WithoutCapacity(charge, *limits.reserve, gauge, stop) : std::nullopt;
  }
  const BatteryState battery{capacity, charge, on.committed};
  const Joules demand =
      GrossDemand(on.prediction, Joules(on.prediction.run_energy_joules().high()));
  const Joules margin =
      limits.reserve ? policy::HeldBack(stop) + capacity * gauge.error.value() : Joules(0);
  const policy::ReserveLimit limit = limits.reserve.value_or(policy::ReserveLimit{});
  if (Shortfall(battery, demand, margin, limit.state_of_charge).value() <= 0) {
    return std::nullopt;
  }
  return RefusalFor(battery, demand, margin, limit);
}

}  // namespace

extern const Rule kBatteryReserveRule = {"battery_reserve", RuleScope::kLoad, CheckBatteryReserve};

}  // namespace wattle::scheduler
