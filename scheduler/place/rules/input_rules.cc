// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rules about the job's files.
#include <cstdint>
#include <optional>
#include <tuple>

#include "absl/strings/str_cat.h"

#include "proto/job_kind.h"
#include "scheduler/place/rules/quality_floor.h"
#include "scheduler/place/rules/rule.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

// Inputs that exceed the worker's cache quota never fit.
std::optional<Refusal> CheckCacheQuota(const DeviceEvaluation& on) {
  const int64_t quota = on.device.device.info().cache_quota_bytes();
  int64_t needed = 0;
  for (const InputView& input : on.job.inputs) {
    if (input.field != kFloorModelsField) {
      needed += input.artifact.size_bytes();
    }
  }
  if (quota <= 0 || needed <= quota) {
    return std::nullopt;
  }
  return Refuse(
      on,
      [&] {
        return absl::StrCat("inputs of ", FormatBytes(needed), " exceed its cache quota of ",
                            FormatBytes(quota), "; feasible with a quota of ", FormatBytes(needed));
      },
      true);
}

// No model of the job is offered on the device. The refusal is temporary if a probe could change
// it, and permanent if it follows from memory or measured quality.
std::optional<Refusal> CheckQualityFloor(const DeviceEvaluation& on) {
  if (!on.job.spec.has_quality_floor() || on.mode.model_choice.has_value()) {
    return std::nullopt;
  }
  const v1::QualityFloor& floor = on.job.spec.quality_floor();
  const v1::ModelAlternative* nearest = nullptr;
  const auto rank = [&floor](const v1::ModelAlternative& one) {
    const bool known = one.is_parent() || one.has_quality();
    const double shortfall = one.is_parent() ? 0 : Shortfall(one.quality(), floor);
    // First models that only lack a probe of their speed, then those that lack both measurements.
    return std::make_tuple(known ? shortfall : 0, !known, one.speed_measured());
  };
  for (const v1::ModelAlternative& one : on.mode.alternatives) {
    if (nearest == nullptr || rank(one) < rank(*nearest)) {
      nearest = &one;
    }
  }
  if (nearest == nullptr) {
    return Refuse(on, [&] {
      return "no model of quality_floor.models is there; push one or leave the list out";
    });
  }
  const bool known = nearest->is_parent() || nearest->has_quality();
  const bool meets = nearest->is_parent() || (known && Meets(nearest->quality(), floor));
  const bool needs_probe = !known || (meets && !nearest->is_parent() && !nearest->speed_measured());
  return Refuse(
      on,
      [&] {
        return absl::StrCat("no model is offered for the quality floor; the nearest is ",
                            nearest->model(), ": ", nearest->reason());
      },
      /*permanent=*/!needs_probe);
}

// A job needs real files to run; declared shapes can only be planned.
std::optional<Refusal> CheckInputs(const DeviceEvaluation& on) {
  if (on.dry_run) {
    return std::nullopt;
  }
  const v1::JobSpec& spec = on.job.spec;
  if (DeclaredModel(spec) != nullptr) {
    return Refuse(
        on,
        [&] { return "the job declares model_shape, which is for plans; name a model to run it"; },
        true);
  }
  if (DeclaredData(spec) != nullptr) {
    return Refuse(
        on,
        [&] {
          return "the job declares data_shape, which is for plans; name a data set to run it";
        },
        true);
  }
  if (spec.generate().prompt_count() > 0 && spec.generate().prompts_size() == 0 &&
      spec.generate().data().empty()) {
    return Refuse(
        on,
        [&] { return "the job declares prompt_count, which is for plans; give prompts to run it"; },
        true);
  }
  return std::nullopt;
}

}  // namespace

extern const Rule kCacheQuotaRule = {"cache_quota", RuleScope::kDevice, CheckCacheQuota};
extern const Rule kQualityFloorRule = {"quality_floor", RuleScope::kMode, CheckQualityFloor};
extern const Rule kInputsRule = {"inputs", RuleScope::kDevice, CheckInputs};

}  // namespace wattle::scheduler
