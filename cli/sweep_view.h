// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The plans of a sweep's jobs in one table. Pure; thread-safe.
#ifndef WATTLE_CLI_SWEEP_VIEW_H_
#define WATTLE_CLI_SWEEP_VIEW_H_

#include <string>
#include <vector>

#include "cli/text_style.h"

#include "wattle/v1/plan.pb.h"

namespace wattle::cli {

struct SweptPlan {
  std::string job;  // its name, which contains its values
  v1::PlanResponse plan;
};

// One row for each job, with the device that it would get, and the sum of their joules.
[[nodiscard]] std::string RenderSweep(const std::vector<SweptPlan>& plans, const TextStyle& style);

// One document: .plans[] with the job's name and its PlanResponse.
[[nodiscard]] std::string SweepJson(const std::vector<SweptPlan>& plans);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SWEEP_VIEW_H_
