// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Value of the first steps of a job on a device with a wide prediction: the expected loss of a
// decision by the means, less that of a decision after the first steps (value of information;
// Howard, "Information Value Theory", 1966). Seconds and joules of a run are log-normal about their
// mean, like their intervals. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_PROBE_VALUE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_PROBE_VALUE_INTERNAL_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/rearrange_internal.h"
#include "scheduler/place/search_blocks_internal.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

// The value to `jobs` jobs of one work with this deadline. Without the probe, each job that misses
// its deadline, with the probability that the prediction gives, draws joules in vain until then.
// Without a deadline or a deviation the value is 0.
v1::ProbeValue ValueToDeadlines(const Option& probe, double deadline_in_seconds, int jobs);

// The value to `jobs` other jobs of the same work, each of which would otherwise take its best
// known device for `known_cost`. The present job is expected to cost `cost_of_trying` more on the
// tried device than there, if it stays to its end.
v1::ProbeValue ValueToOthers(const Option& tried, double known_cost, int jobs);

// Whether the job still waits when the first steps of a probe that starts now are known.
[[nodiscard]] bool WaitsForProbe(const std::optional<RunStart>& start);
// Devices that no job of the plan takes, and of whose class no board is probing now.
std::vector<bool> DevicesToTry(const Snapshot& snapshot, const PlacesOfJobs& plan);

// A waiting job in the plan: its device, its cost there, and the other waiting jobs of its work.
struct WaitingPlace {
  size_t device = 0;
  double cost = 0;
  int others = 0;
};
// Makes the device with the greatest value per joule to the other jobs the choice of `evaluated`,
// if that value exceeds the expected extra cost of the job there. The device is one of `free`, has
// a wide prediction, could start the job now, and has exploration budget left today; the job's
// device in the plan has a narrow prediction. Returns the device; nullopt: no trial pays.
std::optional<size_t> FindTrial(const Snapshot& snapshot, const std::vector<bool>& free,
                                const WaitingPlace& planned, EvaluatedDevices* evaluated);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_PROBE_VALUE_INTERNAL_H_
