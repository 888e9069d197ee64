// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An attempt of this job failed there for a reason of the device.

#include "scheduler/place/constraint_registry_internal.h"

namespace wattle::scheduler {
namespace {

class AvoidedDevice final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "avoided_device"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    const std::string& device_id = on.device.device.info().device_id();
    for (const DeviceId& avoided : on.job.avoided_devices) {
      if (avoided.value() == device_id) {
        return Refusal{
            "an attempt of this job failed on it a short time ago; feasible again in some minutes, "
            "or where no other device is left"};
      }
    }
    return std::nullopt;
  }
};

}  // namespace

const Constraint& AvoidedDeviceConstraint() {
  static const auto* const kConstraint = new AvoidedDevice();
  return *kConstraint;
}

}  // namespace wattle::scheduler
