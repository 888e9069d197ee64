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
  v1::ProfileRow row;      // Its workload and power mode are those to run.
  double ratio_now = 1;    // Upper over lower end of the 90 % interval of the seconds.
  double ratio_after = 1;  // The same once the device has a run of its own.
};

// The run that divides a ratio of upper to lower end by most; nullopt if none divides it by 1.1.
// Candidates are the workloads that the class of a device has rows of and the device itself has
// not, or not since it became faster or slower: a run of its own takes away the error between the
// boards of a class, between a paper's board and this one, or of a change. Repeats of a row are no
// candidates: they make the mean surer, and not the interval of one run. Among equals the workload
// that the fleet ran last, because what ran last is likely to run again. Devices without a runner
// are left out, and modes in which a device is not and which its worker may not set.
[[nodiscard]] std::optional<NextRun> NextRunToMeasure(const ProfileTable& table,
                                                      absl::Span<const v1::DeviceInfo> devices);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_NEXT_RUN_H_
