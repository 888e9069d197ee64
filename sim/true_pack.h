// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What is in a pack in truth. A board has a pack of its own, or shares one with other boards.
#ifndef WATTLE_SIM_TRUE_PACK_H_
#define WATTLE_SIM_TRUE_PACK_H_

#include <algorithm>
#include <optional>
#include <vector>

#include "units/quantity.h"

namespace wattle::sim {

class Board;

struct TruePack {
  std::optional<Joules> capacity{};  // absent: mains
  Joules charge{};
  Joules lost_sun{};  // what came while the pack was full
  bool on_mains = false;

  // A time in which so much came from the sun and the boards drew so much.
  void Pass(Joules sun, Joules drawn) {
    lost_sun += std::max(Joules(0), charge + sun - drawn - *capacity);
    charge = std::clamp(charge + sun - drawn, Joules(0), *capacity);
  }
};

// Boards that draw from one pack. They pass their time together, because the charge depends on what
// all of them draw.
struct SharedPack {
  TruePack pack;
  std::vector<Board*> boards{};  // not owned; not empty once one has joined
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_TRUE_PACK_H_
