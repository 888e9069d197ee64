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

// Turns one fault point on and all others off; empty: all off.
void TurnOnFaultPoint(const std::string& name);
// How often the code reached the fault point that is on; 0: the mutant was never reached.
int64_t FaultPointHits();

// A mutant of the code under test.
struct MutantRow {
  const char* name = "";  // of its fault point
  const char* what = "";  // for people
  // Whether only worlds with the real journal have the code.
  bool in_real_journal = false;
  // What its worlds see often, because it breaks nothing else; kCount: nothing more than others.
  Fault often = Fault::kCount;
  bool in_liveness = false;  // whether only worlds with dead boards show it
};
const std::vector<MutantRow>& Mutants();
// Puts the mutant of this name into the world; empty: none.
void AddMutant(const std::string& name, Options& options);

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_FAULT_POINTS_H_
