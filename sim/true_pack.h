// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The true content of a pack. A board has its own pack, or shares one with other boards.
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
  Joules lost_sun{};  // sun that came while the pack was full
  bool on_mains = false;

  // Passes a period in which the sun gave and the boards drew these joules.
  void Pass(Joules sun, Joules drawn) {
    lost_sun += std::max(Joules(0), charge + sun - drawn - *capacity);
    charge = std::clamp(charge + sun - drawn, Joules(0), *capacity);
  }
};

// Boards that draw from one pack and advance together, because the charge depends on the draw of
// all of them.
struct SharedPack {
  TruePack pack;
  std::vector<Board*> boards{};  // not owned; empty until the first one joins
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_TRUE_PACK_H_
