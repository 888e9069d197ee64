// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A machine described by a scenario instead of drawn from a world's seed: its board, and the true
// cost of each job on it. Plain values.
#ifndef WATTLE_SIM_MACHINE_H_
#define WATTLE_SIM_MACHINE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "sim/board.h"
#include "sim/hourly_link.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::sim {

// The truth about a run of a job on a board, which the planner does not know.
struct Workload {
  int64_t steps = 1;
  double step_seconds = 1.0;
  // Steps that end in one frame of the runner, because short steps would dominate the simulation's
  // events.
  int64_t steps_together = 1;
  double tokens_per_step = 0.0;
  double start_seconds = 0.0;  // from the start of the runner to the first step
  Watts start_power{};
  Watts power{};                    // while the steps run
  double checkpoint_seconds = 0.0;  // reported per checkpoint; the run does not wait for it
  int64_t checkpoint_bytes = 0;
  int64_t result_bytes = 0;
  v1::WorkDone work;  // of the whole job, as reported by the runner
};

struct Machine {
  BoardSettings board;
  v1::DeviceInfo info;  // the worker adds its id and its battery
  // Absent: the link has the rate in `info`, and a transfer crosses it in one piece.
  std::optional<HourlyLink> link{};
  std::function<Workload(const v1::JobSpec& spec)> workload;
  std::function<int64_t(const std::string& artifact_id)> artifact_bytes;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_MACHINE_H_
