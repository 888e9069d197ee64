// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The mutants: bugs that the simulation switches on in the code under test (base/fault_point.h),
// one at a time.
#ifndef WATTLE_TESTS_SIMULATION_FAULT_POINTS_H_
#define WATTLE_TESTS_SIMULATION_FAULT_POINTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sim/options.h"

namespace wattle::sim {

// Enables one fault point and disables all others; empty: disables all.
void TurnOnFaultPoint(const std::string& name);
// Number of times that the code reached the enabled fault point; 0: the mutant was never reached.
int64_t FaultPointHits();

// A mutant of the code under test.
struct MutantRow {
  const char* name = "";  // of its fault point
  const char* what = "";  // for people
  // Whether only worlds with the real journal have the code.
  bool in_real_journal = false;
  // A fault that is frequent in its worlds, because the mutant shows only with it; kCount: none.
  Fault often = Fault::kCount;
  bool in_liveness = false;  // whether only worlds with dead boards show it
};
const std::vector<MutantRow>& Mutants();
// Enables the mutant of this name in the world; empty: none.
void AddMutant(const std::string& name, Options& options);

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_FAULT_POINTS_H_
