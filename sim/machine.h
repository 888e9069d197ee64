// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A machine that a scenario describes, in place of one that is drawn from a world's seed: its
// board, and what each job takes there in truth. Plain values.
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

// The truth about a run of a job on a board. The planner knows none of it.
struct Workload {
  int64_t steps = 1;
  double step_seconds = 1.0;
  // Steps that end together in one frame of the runner: short ones would be most of the
  // simulation's events.
  int64_t steps_together = 1;
  double tokens_per_step = 0.0;
  double start_seconds = 0.0;  // from the start of the runner to the first step
  Watts start_power{};
  Watts power{};                    // while the steps run
  double checkpoint_seconds = 0.0;  // told of each one; the run does not stand still for it
  int64_t checkpoint_bytes = 0;
  int64_t result_bytes = 0;
  v1::WorkDone work;  // of the whole job, as the runner tells it
};

struct Machine {
  BoardSettings board;
  v1::DeviceInfo info;  // the worker adds its id and its battery
  // Absent: the link has the rate that `info` tells, and a transfer crosses it in one piece.
  std::optional<HourlyLink> link{};
  std::function<Workload(const v1::JobSpec& spec)> workload;
  std::function<int64_t(const std::string& artifact_id)> artifact_bytes;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_MACHINE_H_
