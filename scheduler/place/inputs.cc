// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Real files to run on: what is only declared can be planned, not run.

#include "scheduler/place/constraint_registry_internal.h"

namespace wattle::scheduler {
namespace {

class Inputs final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "inputs"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    if (on.dry_run) {
      return std::nullopt;
    }
    const v1::JobSpec& spec = on.job.spec;
    if (spec.finetune().has_model_shape() || spec.quantize().has_model_shape() ||
        spec.generate().has_model_shape() || spec.evaluate().has_model_shape()) {
      return Refusal{"the job declares model_shape, which is for plans; name a model to run it",
                     true};
    }
    if (spec.finetune().has_data_shape() || spec.evaluate().has_data_shape()) {
      return Refusal{"the job declares data_shape, which is for plans; name a data set to run it",
                     true};
    }
    if (spec.has_generate() && spec.generate().prompt_count() > 0 &&
        spec.generate().prompts_size() == 0 && spec.generate().data().empty()) {
      return Refusal{"the job declares prompt_count, which is for plans; give prompts to run it",
                     true};
    }
    return std::nullopt;
  }
};

}  // namespace

const Constraint& InputsConstraint() {
  static const auto* const kConstraint = new Inputs();
  return *kConstraint;
}

}  // namespace wattle::scheduler
