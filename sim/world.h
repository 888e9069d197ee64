// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One simulated world from start to rest: coordinator, workers, users, faults. Everything follows
// from the options; the same options give the same run, on every machine.
#ifndef WATTLE_SIM_WORLD_H_
#define WATTLE_SIM_WORLD_H_

#include <cstdint>
#include <string>

#include "sim/options.h"

namespace wattle::sim {

struct Outcome {
  std::string breach;  // of an invariant, in words; empty: none
  Counts counts;
  int64_t steps = 0;  // things that happened in virtual time
  double virtual_seconds = 0.0;
  double device_seconds = 0.0;  // of all devices together, while their power was on
  uint64_t fingerprint = 0;     // of all durable events
};

Outcome RunWorld(const Options& options);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_WORLD_H_
