// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The agent itself idles by policy: below its reserve, or too hot.
#include "absl/strings/str_cat.h"

#include "scheduler/place/constraint_registry_internal.h"

namespace wattle::scheduler {
namespace {

class Guard final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "guard"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    const std::string& reason = on.device.device.heartbeat().guard_reason();
    if (reason.empty()) {
      return std::nullopt;
    }
    return Refusal{absl::StrCat("its guard lets it idle: ", reason)};
  }
};

}  // namespace

const Constraint& GuardConstraint() {
  static const auto* const kConstraint = new Guard();
  return *kConstraint;
}

}  // namespace wattle::scheduler
