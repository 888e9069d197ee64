// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The promise of the battery guard, against the truth: no joule is spent on work once the true
// state of charge is below the reserve by more than the gauge's stated error. A gauge that lies
// beyond its stated error, or says nothing, cannot be held to it; nor can a worker in the moment in
// which it learns of a reserve. After such a disturbance the promise holds again once the step
// under way may have ended. Single-threaded.
#ifndef WATTLE_SIM_RESERVE_WATCH_H_
#define WATTLE_SIM_RESERVE_WATCH_H_

#include <string>

#include "sim/board.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::sim {

class ReserveWatch {
 public:
  // The coordinator has sent these policies to the worker.
  void SetPolicies(const v1::DesiredSet& desired, double now_seconds);
  void Disturb(double now_seconds) { disturbed_seconds_ = now_seconds; }
  // Returns the breach in words; empty: none. step_seconds: of the runner, about.
  std::string Check(const Board& board, double now_seconds, double step_seconds);

 private:
  double reserve_ratio_ = 0.0;  // 0: none
  double disturbed_seconds_ = 0.0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_RESERVE_WATCH_H_
