// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a run's files arrive at its board, at one point of a plan. Files that an earlier run of the
// board fetches are there. Boards of one site have few turns at the coordinator's link
// (coordinator/core/site_turns.h), so a fetch may wait for a turn. Fetch and upload wait for the
// times at which the board's link carries them (link_times.h). Pure.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_TRANSFER_SCHEDULE_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_TRANSFER_SCHEDULE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/device/link_times.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// Gives the boards of each site their turns at the link, with the present fetches, and gives each
// board the files that its attempt brings.
void AddTransferSchedules(const Snapshot& snapshot, std::vector<DeviceLoad>& loads);

// The run to schedule.
struct RunWithTransfers {
  const JobView& job;
  const DeviceView& view;
  const DeviceLoad& load;
  absl::Time start;
};

// The prediction, made for a board without other work, with fetch and start adapted to this point
// of the plan. warm_start_seconds: with the model in the board's memory.
v1::Prediction WithTransferSchedule(const RunWithTransfers& run, const v1::Prediction& alone,
                                    double warm_start_seconds);
// Whether WithTransferSchedule could change the prediction.
bool HasTransferSchedule(const JobView& job, const DeviceLoad& load, const v1::Prediction& alone,
                         double warm_start_seconds);

// A run on a board whose link has times. here: the board has contact at the start.
struct RunOverLink {
  const v1::Device& device;
  absl::Time start;
  bool here = false;
};
// Changes the times of fetch and upload, which assume a mean hour of the week without limits, to
// those of the hours and windows in which the transfers happen. The prediction's note names a
// policy.
void AwaitLink(const LinkTimes& times, const RunOverLink& run, v1::Prediction& prediction);

// Extra time of the prediction's transfers at the measured slowest tenth of speeds, without waits;
// 0 without measurements.
double SlowTransferSeconds(const v1::Device& device, const v1::Prediction& prediction);

// Adds to the load what the placed run leaves on the board and uses of the link.
void AddTransfersOfRun(const v1::Device& device, const PlannedRun& run, DeviceLoad& load);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_TRANSFER_SCHEDULE_H_
