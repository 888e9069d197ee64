// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which workload to run once, on which board, so that predictions become narrower. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_NEXT_RUN_H_
#define WATTLE_SCHEDULER_PROFILES_NEXT_RUN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

struct NextRun {
  std::string device_id;
  v1::ProfileRow row;      // The workload and power mode to run.
  double ratio_now = 1;    // Upper over lower end of the 90 % interval of the seconds.
  double ratio_after = 1;  // This ratio once the device has a run of its own.
};

// The run that reduces a ratio of upper to lower end by the largest factor; nullopt if none reduces
// it by a factor of 1.1. Candidates are workloads for which a device's class has rows and the
// device has none, or none since it became faster or slower: a run of its own removes the error
// between the boards of a class, between a paper's board and this one, or of a change. Repeats of a
// row are no candidates: they improve the mean but do not narrow the interval of one run. Among
// equals the workload that the fleet ran last wins, because it is likely to run again. Left out are
// devices without a runner, and modes that are neither a device's present mode nor settable by its
// worker.
[[nodiscard]] std::optional<NextRun> NextRunToMeasure(const ProfileTable& table,
                                                      absl::Span<const v1::DeviceInfo> devices);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_NEXT_RUN_H_
