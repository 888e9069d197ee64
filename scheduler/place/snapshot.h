// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a plan is computed from: the fleet and the queue at one event of the journal. Plain values,
// copied by whoever asks for a plan; nothing here reads a clock. Thread safety: none needed, a
// snapshot is not changed once built. Read place.h next.
#ifndef WATTLE_SCHEDULER_PLACE_SNAPSHOT_H_
#define WATTLE_SCHEDULER_PLACE_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "scheduler/predict/work.h"  // InputView
#include "scheduler/profiles/profile_table.h"
#include "units/id.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// A device with what it is already committed to.
struct DeviceView {
  v1::Device device;
  // Wall time at which its running or placed attempt is expected to end; <= Snapshot::now: free. A
  // device that still runs an attempt past that time is taken as busy for a little longer, never as
  // free.
  absl::Time free_at = absl::InfinitePast();
  Joules
      committed_energy;  // Gross draw still expected of that attempt; counts against the battery.
};

struct JobView {
  JobId id;
  v1::JobSpec spec;
  absl::Time submitted = absl::InfinitePast();  // Infinite past: a dry run, as if submitted now.
  std::vector<InputView> inputs;
  std::vector<DeviceId> avoided_devices;  // An attempt failed there.
  // Estimate of the runner's peak (models/memory_estimate.h: the scheduler may not include it); 0:
  // not known, memory is then no reason to refuse.
  int64_t peak_memory_bytes = 0;
};

struct Snapshot {
  SequenceNumber sequence;  // The journal's, that this is a view of.
  absl::Time now;
  std::vector<DeviceView> devices;
  std::vector<JobView> queue;        // In any order.
  std::vector<v1::Policy> policies;  // Those that apply; for "what if" the caller puts others here.
  const ProfileTable* profiles =
      nullptr;  // Not owned, outlives the plan; never null when planning.
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SNAPSHOT_H_
