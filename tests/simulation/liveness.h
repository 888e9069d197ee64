// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Liveness: whatever happened before, the healthy part of the fleet finishes the work in three
// times its prediction. At the end of a world's faults some boards are healthy from then on, and
// the others are dead for good. A fleet that only waits for its dead boards breaks no other
// invariant. Single-threaded.
#ifndef WATTLE_TESTS_SIMULATION_LIVENESS_H_
#define WATTLE_TESTS_SIMULATION_LIVENESS_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/invariants.h"
#include "sim/options.h"
#include "sim/worker.h"

namespace wattle::sim {

class Liveness {
 public:
  struct World {
    EventLoop& loop;
    const Options& options;
    const Coordinator& coordinator;
    std::vector<std::unique_ptr<Worker>>& workers;
  };
  explicit Liveness(const World& world) : world_(world) {}

  // Ends the boards that are drawn to be dead, and starts the time limit of the others. REQUIRES:
  // no fault is left.
  void Begin();
  // Whether the healthy boards have done all their possible work.
  [[nodiscard]] bool done() const { return OpenJobs().empty(); }
  // The time limit. The prediction counts the jobs that are open now: users still submit unanswered
  // requests, and an input that became ready is work too.
  [[nodiscard]] double UntilSeconds();
  // Reports each job that is still open.
  void Check(Invariants& invariants) const;

 private:
  // Jobs that have not ended, without those that need a dead board.
  [[nodiscard]] std::vector<const v1::Job*> OpenJobs() const;
  [[nodiscard]] bool NeedsTheDead(const v1::Job& job) const;
  [[nodiscard]] double PredictedSeconds(const v1::JobSpec& spec) const;

  World world_;
  std::set<int> dead_;  // numbers of boards
  double begun_seconds_ = 0.0;
  double slower_by_ = 1.0;          // of the slowest healthy board
  double predicted_seconds_ = 0.0;  // the largest so far
};

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_LIVENESS_H_
