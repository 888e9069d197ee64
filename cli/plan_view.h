// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A plan as text: for every device the seconds and joules that the job would take there, or the
// rule that refuses the device; the chosen device is marked, with the reason. Pure; thread-safe.
#ifndef WATTLE_CLI_PLAN_VIEW_H_
#define WATTLE_CLI_PLAN_VIEW_H_

#include <string>

#include "cli/text_style.h"

#include "wattle/v1/plan.pb.h"

namespace wattle::cli {

// spec: the job that was planned; the heading shows it.
std::string RenderPlan(const v1::JobSpec& spec, const v1::PlanResponse& plan,
                       const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PLAN_VIEW_H_
