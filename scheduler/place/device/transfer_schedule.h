// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a run's files come to its board, at one point of a plan. What an earlier run of the board has
// fetched is there. Boards of one site have few turns at the coordinator's link
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

// Gives the boards of each site their turns at the link, with the fetches that go on now, and each
// board the files that its attempt brings.
void AddTransferSchedules(const Snapshot& snapshot, std::vector<DeviceLoad>& loads);

// A run that is asked about.
struct RunWithTransfers {
  const JobView& job;
  const DeviceView& view;
  const DeviceLoad& load;
  absl::Time start;
};

// The prediction of a run whose board has nothing else to do, with fetch and start as they are at
// this point of the plan. warm_start_seconds: with the model in the board's memory.
v1::Prediction WithTransferSchedule(const RunWithTransfers& run, const v1::Prediction& alone,
                                    double warm_start_seconds);
// Whether WithTransferSchedule could change the prediction.
bool HasTransferSchedule(const JobView& job, const DeviceLoad& load, const v1::Prediction& alone,
                         double warm_start_seconds);

// A run on a board whose link has times. here: at the start there is contact.
struct RunOverLink {
  const v1::Device& device;
  absl::Time start;
  bool here = false;
};
// Gives fetch and upload of the prediction, which have the time of a mean hour of the week without
// limits, that of the hours and windows in which they come. The prediction's note names a policy.
void AwaitLink(const LinkTimes& times, const RunOverLink& run, v1::Prediction& prediction);

// By how much longer the transfers of the prediction take where they are as slow as one in ten was,
// without waits; 0 where nothing was measured.
double SlowTransferSeconds(const v1::Device& device, const v1::Prediction& prediction);

// Adds what the run, which has its place, leaves on the board and takes of the link.
void AddTransfersOfRun(const v1::Device& device, const PlannedRun& run, DeviceLoad& load);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_TRANSFER_SCHEDULE_H_
