// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/plan_cost.h"

#include <cstddef>

namespace wattle::timetable {

Millijoules CostOf(const Instance& instance, absl::Span<const Planned> plan) {
  Millijoules cost = 0;
  for (const Planned& planned : plan) {
    const InstanceJob& job = instance.jobs[static_cast<size_t>(planned.job)];
    if (planned.device == Planned::kLeftOut || !planned.in_time) {
      cost += job.left_out_price;
      continue;
    }
    for (const JobOption& option : job.options) {
      if (option.device == planned.device && option.mode == planned.mode) {
        cost += CostAt(job, option, planned.start);
      }
    }
  }
  return cost;
}

}  // namespace wattle::timetable
