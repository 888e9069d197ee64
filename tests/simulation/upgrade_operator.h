// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An operator who upgrades a simulated fleet by stages: pushes a release, starts the upgrade,
// pauses it, and resumes or ends one that stopped. Single-threaded.
#ifndef WATTLE_TESTS_SIMULATION_UPGRADE_OPERATOR_H_
#define WATTLE_TESTS_SIMULATION_UPGRADE_OPERATOR_H_

#include "sim/coordinator.h"
#include "sim/random.h"

namespace wattle::sim {

class Upgrading {
 public:
  Upgrading(Random& random, Coordinator& coordinator)
      : random_(random), coordinator_(coordinator) {}

  // Takes an operator's next step. Returns false if there is none, or the coordinator does not run.
  bool Step();

 private:
  bool StepWith(const v1::Upgrade& upgrade);
  void Begin();

  Random& random_;
  Coordinator& coordinator_;
  int releases_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_UPGRADE_OPERATOR_H_
