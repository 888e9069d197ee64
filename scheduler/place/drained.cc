// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A drained device finishes what it has and takes nothing new.
#include "absl/strings/str_cat.h"

#include "scheduler/place/constraint_registry_internal.h"

namespace wattle::scheduler {
namespace {

class Drained final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "drained"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    const v1::Device& device = on.device.device;
    if (!device.drained()) {
      return std::nullopt;
    }
    const std::string reason =
        device.drain_reason().empty() ? "" : absl::StrCat(" (", device.drain_reason(), ")");
    return Refusal{absl::StrCat("drained", reason, "; feasible after: wattle device resume")};
  }
};

}  // namespace

const Constraint& DrainedConstraint() {
  static const auto* const kConstraint = new Drained();
  return *kConstraint;
}

}  // namespace wattle::scheduler
