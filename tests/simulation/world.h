// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One simulated world from start to rest: coordinator, workers, users, faults. Equal options give
// equal runs on every machine.
#ifndef WATTLE_TESTS_SIMULATION_WORLD_H_
#define WATTLE_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <string>

#include "sim/options.h"

namespace wattle::sim {

struct Outcome {
  std::string breach;  // the broken invariant as a sentence; empty: none
  Counts counts;
  int64_t steps = 0;  // actions of the event loop
  double virtual_seconds = 0.0;
  double device_seconds = 0.0;  // sum over all devices, while their power was on
  uint64_t fingerprint = 0;     // of all durable events
};

Outcome RunWorld(const Options& options);

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_WORLD_H_
