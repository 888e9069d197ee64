// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Labels that the job requires.
#include "absl/strings/str_cat.h"

#include "scheduler/place/constraint_registry_internal.h"
#include "scheduler/place/selector.h"

namespace wattle::scheduler {
namespace {

class Labels final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "labels"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    for (const std::string& label : on.job.spec.required_labels()) {
      if (!HasLabel(on.device.device.info(), label)) {
        return Refusal{absl::StrCat("lacks the label ", label, "; feasible with it"), true};
      }
    }
    return std::nullopt;
  }
};

}  // namespace

const Constraint& LabelsConstraint() {
  static const auto* const kConstraint = new Labels();
  return *kConstraint;
}

}  // namespace wattle::scheduler
