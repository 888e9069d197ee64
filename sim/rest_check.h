// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What must hold once the faults have ended and everything has come to rest: no job was lost, every
// result is the one that its spec asks for, every joule is booked once. Pure.
#ifndef WATTLE_SIM_REST_CHECK_H_
#define WATTLE_SIM_REST_CHECK_H_

#include <memory>
#include <vector>

#include "coordinator/core/state.h"
#include "sim/coordinator.h"
#include "sim/invariants.h"
#include "sim/users.h"
#include "sim/worker.h"

namespace wattle::sim {

struct Resting {
  const Coordinator& coordinator;
  const std::vector<std::unique_ptr<Worker>>& workers;
  const Users& users;
};

// Whether nothing is left to do.
bool IsAtRest(const Resting& world);
// Breaks the invariants where one does not hold.
void CheckAtRest(const Resting& world, Invariants& invariants);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_REST_CHECK_H_
