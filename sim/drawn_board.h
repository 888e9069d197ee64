// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a board of a drawn world is. Each board has random numbers of its own, so that it is the
// same whatever happens to it. Pure.
#ifndef WATTLE_SIM_DRAWN_BOARD_H_
#define WATTLE_SIM_DRAWN_BOARD_H_

#include "sim/board.h"
#include "sim/options.h"

namespace wattle::sim {

// What a board is beside its power.
struct BoardTraits {
  bool has_modes = false;
  bool emulated = false;
  SpeedChanges speed;
};

BoardTraits DrawTraits(int number, const Options& options);
BoardSettings DrawBoard(int number, const Options& options);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_DRAWN_BOARD_H_
