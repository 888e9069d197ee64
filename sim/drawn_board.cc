// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/drawn_board.h"

#include <algorithm>

#include "sim/random.h"

namespace wattle::sim {
namespace {

constexpr double kBoardsWithModes = 0.5;
constexpr double kEmulatedBoards = 0.15;
// The shortest time in which work may empty a battery; the gauge could not follow a faster drop
// (telemetry/battery).
constexpr absl::Duration kEmptiedByWorkMin = absl::Seconds(1300);
constexpr double kSecondsOfTrueDay = 86400.0;

BoardSettings DrawPower(int number, const Options& options) {
  // Separate random numbers for each board, so that no other event changes its traits.
  Random random(options.seed * 1000003 + static_cast<uint64_t>(number));
  BoardSettings board;
  board.idle = Watts(random.Between(1.5, 4.0));
  board.work = Watts(random.Between(7.0, 20.0));
  if (random.Chance(0.3)) {
    return board;  // on mains
  }
  // The battery holds between a quarter of a day and three days of idle draw, but at least enough
  // that work does not empty it too fast.
  board.day_seconds = options.day_seconds;
  board.battery =
      std::max(board.idle * absl::Seconds(options.day_seconds) * random.Between(0.25, 3.0),
               board.work * kEmptiedByWorkMin * random.Between(1.0, 2.0));
  board.charge = Fraction(random.Between(0.2, 0.9));
  board.harvest_peak = board.idle * random.Between(1.0, 5.0);
  board.noon_seconds = random.Between(0.0, options.day_seconds);
  board.gauge_error = Fraction(random.Between(0.005, 0.03));
  // Every second gauge is off by its full stated error.
  board.gauge_bias =
      board.gauge_error.value() *
      (random.Chance(0.5) ? random.Between(-1.0, 1.0) : (random.Chance(0.5) ? 1.0 : -1.0));
  return board;
}

}  // namespace

BoardTraits DrawTraits(int number, const Options& options) {
  Random random(options.seed * 1000003 + 500'009 + static_cast<uint64_t>(number));
  BoardTraits traits;
  traits.has_modes = random.Chance(kBoardsWithModes);
  traits.emulated = random.Chance(kEmulatedBoards);
  const auto moment = [&] { return options.fault_seconds * random.Between(0.2, 0.8); };
  if (random.Chance(0.4)) {
    traits.speed.step_at_seconds = moment();
    traits.speed.step = random.Chance(0.7) ? 1.5 : 1.0 / 1.5;
  }
  if (random.Chance(0.3)) {
    traits.speed.software_at_seconds = moment();
    traits.speed.software = random.Between(0.7, 1.5);
  }
  if (random.Chance(0.3)) {
    // Up to a third in either direction during the world's faults.
    traits.speed.drift_per_day =
        0.3 * random.Between(-1.0, 1.0) * kSecondsOfTrueDay / options.fault_seconds;
  }
  if (random.Chance(0.3)) {
    traits.speed.throttle = random.Between(1.1, 1.6);
  }
  return traits;
}

BoardSettings DrawBoard(int number, const Options& options) {
  BoardSettings board = DrawPower(number, options);
  board.speed = DrawTraits(number, options).speed;
  return board;
}

}  // namespace wattle::sim
