// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The agent itself idles by policy: below its reserve, or too hot. Where no policy limits the
// device (any more), its last heartbeat tells of one that is gone.
#include "absl/strings/str_cat.h"

#include "scheduler/place/constraint_registry_internal.h"
#include "scheduler/place/selector.h"

namespace wattle::scheduler {
namespace {

class Guard final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "guard"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    const v1::Device& device = on.device.device;
    const std::string& reason = device.heartbeat().guard_reason();
    const policy::Limits limits = LimitsFor(on.snapshot.policies, device.info());
    if (reason.empty() || !(limits.reserve || limits.temperature_max)) {
      return std::nullopt;
    }
    return Refusal{
        absl::StrCat("its guard lets it idle: ", reason,
                     "; feasible once that is over, or without the policy (wattle policy ls)")};
  }
};

}  // namespace

const Constraint& GuardConstraint() {
  static const auto* const kConstraint = new Guard();
  return *kConstraint;
}

}  // namespace wattle::scheduler
