// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The traits of a board in a drawn world. Each board has its own random numbers, so its traits do
// not depend on other draws. Pure.
#ifndef WATTLE_SIM_DRAWN_BOARD_H_
#define WATTLE_SIM_DRAWN_BOARD_H_

#include "sim/board.h"
#include "sim/options.h"

namespace wattle::sim {

// Traits of a board other than its power.
struct BoardTraits {
  bool has_modes = false;
  bool emulated = false;
  SpeedChanges speed;
};

BoardTraits DrawTraits(int number, const Options& options);
BoardSettings DrawBoard(int number, const Options& options);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_DRAWN_BOARD_H_
