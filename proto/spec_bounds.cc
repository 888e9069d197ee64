// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/spec_bounds.h"

#include "absl/strings/str_cat.h"

#include "proto/field_bounds.h"
#include "proto/job_kind.h"

namespace wattle {
namespace {

constexpr double kSecondsMax = 366.0 * 24 * 3600;  // A year.

constexpr FieldBound kBounds[] = {
    {"deadline_seconds", 0, kSecondsMax},
    {"timeout_seconds", 0, kSecondsMax},
    {"lease_seconds", 0, kSecondsMax},
    {"energy_budget_wh", 0, 1e6},
    {"priority", -100, 100},
    {"retries", 0, 10},

    {"quality_floor.perplexity_change_percent_max", 0, 1000},
    {"quality_floor.kl_divergence_max", 0, 100},
    {"quality_floor.top1_agreement_percent_min", 0, 100},
};

}  // namespace

absl::Status CheckSpecBounds(const v1::JobSpec& spec) {
  const JobKind& kind = KindOf(spec);
  absl::Status valid = CheckBounds(spec, "", kBounds);
  valid.Update(CheckBounds(spec, "", kind.bounds));
  if (kind.wraps_workload) {
    const v1::JobSpec workload = WorkloadOf(spec);
    valid.Update(CheckBounds(workload, absl::StrCat(kind.name, "."), KindOf(workload).bounds));
  }
  return valid;
}

}  // namespace wattle
