// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks a world after the faults have ended and everything is at rest: no job is lost, every
// result is the one that its spec determines, and every joule is booked once. Pure.
#ifndef WATTLE_TESTS_SIMULATION_REST_CHECK_H_
#define WATTLE_TESTS_SIMULATION_REST_CHECK_H_

#include <memory>
#include <vector>

#include "coordinator/core/state.h"
#include "sim/coordinator.h"
#include "sim/invariants.h"
#include "sim/worker.h"
#include "tests/simulation/users.h"

namespace wattle::sim {

struct Resting {
  const Coordinator& coordinator;
  const std::vector<std::unique_ptr<Worker>>& workers;
  const Users& users;
};

// Whether all work is done.
bool IsAtRest(const Resting& world);
// Reports each violation to `invariants`.
void CheckAtRest(const Resting& world, Invariants& invariants);

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_REST_CHECK_H_
