// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A device that does not answer gets no new attempt.

#include "scheduler/place/constraint_registry_internal.h"

namespace wattle::scheduler {
namespace {

class Connected final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "connected"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    const v1::Device& device = on.device.device;
    if (!device.connected()) {
      return Refusal{"not connected; feasible once its worker reaches the coordinator"};
    }
    if (device.unreachable()) {
      return Refusal{"unreachable: its heartbeats are missing; feasible once they come again"};
    }
    return std::nullopt;
  }
};

}  // namespace

const Constraint& ConnectedConstraint() {
  static const auto* const kConstraint = new Connected();
  return *kConstraint;
}

}  // namespace wattle::scheduler
