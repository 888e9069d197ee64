// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A plan as people read it: every device with what it would take, the rule that refuses it, the
// chosen one marked, and why. Pure; thread-safe.
#ifndef WATTLE_CLI_PLAN_VIEW_H_
#define WATTLE_CLI_PLAN_VIEW_H_

#include <string>

#include "cli/text_style.h"

#include "wattle/v1/plan.pb.h"

namespace wattle::cli {

// spec: what was planned, for the heading.
std::string RenderPlan(const v1::JobSpec& spec, const v1::PlanResponse& plan,
                       const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PLAN_VIEW_H_
