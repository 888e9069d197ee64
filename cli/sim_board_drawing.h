// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Draws one board of a simulated fleet over the scenario's time: its attempts, the charge of its
// pack, and the sun. Part of the page in sim_page.h, whose style defines the colours. Pure.
#ifndef WATTLE_CLI_SIM_BOARD_DRAWING_H_
#define WATTLE_CLI_SIM_BOARD_DRAWING_H_

#include <cstddef>
#include <string>

#include "sim/scenario/recording.h"
#include "sim/scenario/scenario.h"

namespace wattle::cli {

// The groups of jobs take these colours in turn, and so do the phases of attempts.
inline constexpr size_t kColours = 9;
// The name of the colour in the page's style.
std::string ColourOf(size_t number);

std::string BoardSection(const sim::Scenario& scenario, const sim::BoardRecord& board);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SIM_BOARD_DRAWING_H_
