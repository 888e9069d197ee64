// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The solver interface of a build without a solver's library.
#include "scheduler/solve/solver.h"

namespace wattle::solve {

const Solver* BuiltInSolver() {
  return nullptr;
}

}  // namespace wattle::solve
