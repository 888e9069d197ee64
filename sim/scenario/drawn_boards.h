// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The simulated boards of a scenario's groups: their device information, pack and sun, and how
// their speed changes. A seed draws the same boards whatever else is drawn. Pure.
#ifndef WATTLE_SIM_SCENARIO_DRAWN_BOARDS_H_
#define WATTLE_SIM_SCENARIO_DRAWN_BOARDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sim/board.h"
#include "sim/scenario/scenario.h"
#include "sim/true_speed.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::sim {

// The fleet is up for this long before hour 0: the boards register and measure their idle draw. The
// simulation's wall clock begins a quarter of an hour before midnight (sim/options.cc).
inline constexpr double kBeginSeconds = 900.0;

// number: the board's number in its group, from 1.
v1::DeviceInfo InfoOf(const BoardGroup& group, int number);

// number: the board's number in the fleet, from 0.
SpeedChanges SpeedOf(const Scenario& scenario, int number, uint64_t seed);

// When the board is without power. number: the board's number in the fleet, from 0. In the order of
// the scenario's entries; times of two entries may overlap.
std::vector<TimeOff> TimesOff(const Scenario& scenario, const BoardGroup& group, int number,
                              uint64_t seed);

// A draw of the times at which the board has a fault of this kind.
struct BoardDraw {
  int number;
  uint64_t seed;
};
std::vector<TimeOff> TimesOfFault(const Scenario& scenario, v1::ScenarioFaultKind kind,
                                  const BoardGroup& group, BoardDraw draw);

// Pointers into the scenario to the policies that select the group's boards, its own first.
std::vector<const v1::Policy*> PoliciesOf(const Scenario& scenario, const BoardGroup& group);

// The pack that the policies make the group's boards share, with one another and with those of
// other groups; "": each board has its own.
std::string SharedPackOf(const Scenario& scenario, const BoardGroup& group);

// The settings of a board. With a shared pack, BoardSettings::shared_pack is unset and the panel is
// that of the whole pack.
BoardSettings BoardOf(const Scenario& scenario, const BoardGroup& group, uint64_t seed);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_DRAWN_BOARDS_H_
