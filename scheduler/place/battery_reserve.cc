// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The reserve is kept over the whole predicted run: upper quantile of gross joules, what the
// running attempt still draws, and the guard's margin. Without a policy the only limit is an empty
// battery.
#include "absl/strings/str_cat.h"

#include "scheduler/battery/charge.h"
#include "scheduler/place/constraint_registry_internal.h"
#include "scheduler/place/selector.h"
#include "scheduler/predict/predict.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

Refusal RefusalFor(const BatteryState& battery, Joules demand, Joules margin, const Limit& limit) {
  const Fraction reserve(limit.value);
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

class BatteryReserve final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "battery_reserve"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    const v1::Device& device = on.device.device;
    const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
    const std::optional<Limit> policy = ReserveLimit(on.snapshot.policies, device.info());
    if (capacity.value() <= 0) {
      return std::nullopt;
    }
    if (!device.heartbeat().has_battery()) {
      return policy.has_value() ? std::optional<Refusal>(Refusal{absl::StrCat(
                                      "its state of charge is not known yet and policy ",
                                      policy->policy, " sets a reserve; feasible once it reports")})
                                : std::nullopt;
    }
    const BatteryState battery{capacity, Fraction(device.heartbeat().state_of_charge_ratio()),
                               on.committed};
    const Joules demand =
        GrossDemand(on.prediction, Joules(on.prediction.run_energy_joules().high()));
    const Joules margin =
        policy.has_value() ? GuardMargin(capacity, Joules(on.prediction.checkpoint_energy_joules()),
                                         Watts(on.prediction.mean_power_watts()))
                           : Joules(0);
    const Limit limit = policy.value_or(Limit{0, ""});
    if (Shortfall(battery, demand, margin, Fraction(limit.value)).value() <= 0) {
      return std::nullopt;
    }
    return RefusalFor(battery, demand, margin, limit);
  }
};

}  // namespace

const Constraint& BatteryReserveConstraint() {
  static const auto* const kConstraint = new BatteryReserve();
  return *kConstraint;
}

}  // namespace wattle::scheduler
