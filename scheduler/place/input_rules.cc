// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rules about the job's files.
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"

#include "scheduler/place/rules_internal.h"
#include "units/format.h"

namespace wattle::scheduler {

// Inputs that exceed the worker's cache quota never fit.
std::optional<Refusal> CheckCacheQuota(const Consideration& on) {
  const int64_t quota = on.device.device.info().cache_quota_bytes();
  int64_t needed = 0;
  for (const InputView& input : on.job.inputs) {
    needed += input.artifact.size_bytes();
  }
  if (quota <= 0 || needed <= quota) {
    return std::nullopt;
  }
  return Refusal{
      absl::StrCat("inputs of ", FormatBytes(needed), " exceed its cache quota of ",
                   FormatBytes(quota), "; feasible with a quota of ", FormatBytes(needed)),
      true};
}

// A job needs real files to run. Declared shapes can only be planned.
std::optional<Refusal> CheckInputs(const Consideration& on) {
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

}  // namespace wattle::scheduler
