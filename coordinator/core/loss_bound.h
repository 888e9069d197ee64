// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards that cannot keep their policy's loss_seconds_max for a job, because writing one of its
// checkpoints takes longer than the bound. Only measured times count: those in receipts, of
// checkpoints that were not larger than the job's. Pure.
#ifndef WATTLE_COORDINATOR_CORE_LOSS_BOUND_H_
#define WATTLE_COORDINATOR_CORE_LOSS_BOUND_H_

#include <map>
#include <string>

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "units/id.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::core {

class LossBound {
 public:
  // Uses the policies and profiles of the snapshot. REQUIRES: the snapshot outlives the bound.
  LossBound(const State& state, const scheduler::Snapshot& snapshot, const scheduler::JobView& job);

  // The reason with its remedy; empty: the board can keep its bound, has none, or nothing is
  // measured.
  [[nodiscard]] std::string WhyNot(const v1::DeviceInfo& device) const;
  // Why none of the candidates that could run the job can keep the bound; empty: one can, or there
  // is no candidate.
  [[nodiscard]] std::string WhyNone(const v1::PlanResponse& plan) const;

 private:
  struct Measured {
    absl::Duration time;  // Mean time of one checkpoint of an attempt.
    std::string attempt;
  };

  void Measure(const State& state, const v1::Job& job);

  const scheduler::Snapshot& snapshot_;
  double checkpoint_bytes_ = 0;  // Size of one checkpoint; 0: the job writes none.
  std::map<DeviceId, Measured> measured_;
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_LOSS_BOUND_H_
