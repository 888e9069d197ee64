// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Work stops above the temperature that a policy names; the present one counts.
#include "absl/strings/str_format.h"

#include "scheduler/place/constraint_registry_internal.h"
#include "scheduler/place/selector.h"

namespace wattle::scheduler {
namespace {

class MaxTemperature final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "max_temperature"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    const v1::Device& device = on.device.device;
    const policy::Limits limits = LimitsFor(on.snapshot.policies, device.info());
    const std::optional<policy::TemperatureLimit>& limit = limits.temperature_max;
    if (!limit || !device.heartbeat().has_temperature() ||
        Celsius(device.heartbeat().temperature_celsius()) < limit->temperature) {
      return std::nullopt;
    }
    return Refusal{absl::StrFormat(
        "at %.1f °C; policy %s stops work at %.1f °C; feasible once cooler",
        device.heartbeat().temperature_celsius(), limit->policy, limit->temperature.value())};
  }
};

}  // namespace

const Constraint& MaxTemperatureConstraint() {
  static const auto* const kConstraint = new MaxTemperature();
  return *kConstraint;
}

}  // namespace wattle::scheduler
