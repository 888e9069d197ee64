// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The answer of wattle sim, for people and for scripts. Thread-safe.
#ifndef WATTLE_CLI_SIM_VIEW_H_
#define WATTLE_CLI_SIM_VIEW_H_

#include <string>
#include <vector>

#include "cli/text_style.h"

#include "sim/scenario/run.h"
#include "sim/scenario/scenario.h"

namespace wattle::cli {

// One row for each policy; with_runs: also one for each class of boards and each entry of jobs.
[[nodiscard]] std::string RenderSim(const sim::Scenario& scenario,
                                    const std::vector<sim::PolicyResult>& results, bool with_runs,
                                    const TextStyle& style);
// "mast: 3 boards, 120 h 00 min, seeds 1 to 5; median (90 % of the seeds)".
[[nodiscard]] std::string SimHeadLine(const sim::Scenario& scenario);
// The cells of the policy's row, in the order of sim::FigureRows().
[[nodiscard]] std::vector<std::string> FigureCells(const sim::PolicyResult& result);
// One JSON document with everything.
[[nodiscard]] std::string SimJson(const sim::Scenario& scenario,
                                  const std::vector<sim::PolicyResult>& results);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SIM_VIEW_H_
