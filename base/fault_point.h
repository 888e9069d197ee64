// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// WATTLE_FAULT_POINT("name"): a place where the simulation breaks the code on purpose, to prove
// that its invariants find the bug (sim/README.md). `if (WATTLE_FAULT_POINT("token check")) …`
// leaves a check out, or does a step wrongly. In every program that is installed the value is the
// constant false and the compiler drops the branch: only the simulation links its own copies of
// these files, compiled with WATTLE_SIMULATION (sim/CMakeLists.txt lists them).
#ifndef WATTLE_BASE_FAULT_POINT_H_
#define WATTLE_BASE_FAULT_POINT_H_

#ifdef WATTLE_SIMULATION
namespace wattle {
// Whether the running world has this bug. Defined in tests/simulation/fault_points.cc.
bool FaultPointIsOn(const char* name);
}  // namespace wattle
#define WATTLE_FAULT_POINT(name) (::wattle::FaultPointIsOn(name))
#else
#define WATTLE_FAULT_POINT(name) false
#endif

#endif  // WATTLE_BASE_FAULT_POINT_H_
