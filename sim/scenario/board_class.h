// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The boards that a scenario can name: the coordinator's knowledge about such a board before any
// measurement, and its idle draw. The figures are those of deploy/emulated. Thread-safe.
#ifndef WATTLE_SIM_SCENARIO_BOARD_CLASS_H_
#define WATTLE_SIM_SCENARIO_BOARD_CLASS_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"

#include "units/quantity.h"

namespace wattle::sim {

struct BoardClass {
  std::string name;  // "jetson-orin-nano"
  Watts idle{};
  int64_t memory_bytes = 0;
  int cores = 0;
  std::string accelerator{};  // "cuda" or empty
  double flops_per_second = 0.0;
  int64_t card_bytes{};  // of an accelerator with its own memory; 0: it shares the board's
};

absl::Span<const BoardClass> BoardClasses();

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_BOARD_CLASS_H_
