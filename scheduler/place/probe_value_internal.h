// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the first steps of a job on a device tell, where the device's prediction is wide, and what
// the answer is worth: the expected loss of a decision by the means, less that of a decision by the
// answer (value of information; Howard, "Information Value Theory", 1966). A run's seconds and
// joules are log-normal about their mean, as their intervals are. Pure.
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

// To `jobs` jobs of one work that have the deadline: each of them would draw joules until its
// deadline and then miss it, as often as the prediction lets expect. Without a
// deadline or a deviation the value is 0.
v1::ProbeValue ValueToDeadlines(const Option& probe, double deadline_in_seconds, int jobs);

// To `jobs` other jobs of the same work, each of which would take its best known device for
// `known_cost` without the answer. The present job is expected to cost `cost_of_trying` more than
// there, if it stays to its end.
v1::ProbeValue ValueToOthers(const Option& tried, double known_cost, int jobs);

// Whether the job still waits when a probe that starts now has told.
[[nodiscard]] bool WaitsForProbe(const std::optional<RunStart>& start);
// Devices that no job of the plan takes, of classes of which no board learns just now.
std::vector<bool> DevicesToTry(const Snapshot& snapshot, const PlacesOfJobs& plan);

// A waiting job in the plan: its device, its cost there, and the other waiting jobs of its work.
struct WaitingPlace {
  size_t device = 0;
  double cost = 0;
  int others = 0;
};
// Makes the device the choice of `evaluated` whose answer is worth most per joule to the others,
// if the answer is worth more than the job is expected to cost more there. The device is one of
// `free`, has a wide prediction, could start the job now, and may still explore today; the job's
// device in the plan has a narrow one. Returns the device; nullopt: none pays.
std::optional<size_t> FindTrial(const Snapshot& snapshot, const std::vector<bool>& free,
                                const WaitingPlace& planned, EvaluatedDevices* evaluated);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_PROBE_VALUE_INTERNAL_H_
