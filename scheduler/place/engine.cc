// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A worker without a runner can execute nothing.

#include "scheduler/place/constraint_registry_internal.h"

namespace wattle::scheduler {
namespace {

class Engine final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "engine"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    if (!on.device.device.info().engine_version().empty()) {
      return std::nullopt;
    }
    return Refusal{"has no engine; install wattle-runner beside its worker", true};
  }
};

}  // namespace

const Constraint& EngineConstraint() {
  static const auto* const kConstraint = new Engine();
  return *kConstraint;
}

}  // namespace wattle::scheduler
