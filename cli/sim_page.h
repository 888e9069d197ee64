// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The answer of wattle sim as a page for a browser: the figures of all seeds, and drawings of each
// policy's recorded seed. Pure.
#ifndef WATTLE_CLI_SIM_PAGE_H_
#define WATTLE_CLI_SIM_PAGE_H_

#include <string>
#include <vector>

#include "sim/scenario/run.h"
#include "sim/scenario/scenario.h"

namespace wattle::cli {

// A policy without a recording has only its figures.
[[nodiscard]] std::string SimPage(const sim::Scenario& scenario,
                                  const std::vector<sim::PolicyResult>& results);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SIM_PAGE_H_
