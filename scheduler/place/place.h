// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The planner: which job runs where, and why. Pure functions of a snapshot: the same snapshot gives
// the same plan, byte for byte, on every architecture. The rules are in rule.h and rules.cc, the
// costs in objective.h, the predictions in scheduler/predict. Thread-safe: no state.
#ifndef WATTLE_SCHEDULER_PLACE_PLACE_H_
#define WATTLE_SCHEDULER_PLACE_PLACE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "proto/peak_memory.h"
#include "scheduler/place/moves.h"
#include "scheduler/place/queue/start_spans.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/pack.h"
#include "units/id.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// Whether the device's memories can ever hold a runner of this estimated peak according to the
// memory rule; true if either is unknown.
bool FitsInMemory(const v1::DeviceInfo& device, const PeakMemory& peak);

// The candidate that is nearest to feasible: a feasible one, else one with a temporary refusal,
// else the one that passes most rules in their order. Ties go to the first; null for an empty list.
// The pointer is into `candidates`.
const v1::Candidate* NearestToFeasible(absl::Span<const v1::Candidate* const> candidates);

// `wattle plan`: plans only `job` and ignores the queue. The answer has every device: the choice,
// then the other feasible ones, cheapest first, then the refused ones by name. The snapshot's
// policies apply. Errors: kInvalidArgument names the field if the spec or an input gives no amount
// of work.
absl::StatusOr<v1::PlanResponse> PlanJob(const Snapshot& snapshot, const JobView& job);
// PlanJob, except that the mean of the run decides about the deadline if no device is in time at
// the upper quantile, as in PlanQueue.
absl::StatusOr<v1::PlanResponse> PlanJobOrStartByMean(const Snapshot& snapshot, const JobView& job);

// PlanJob for only the first device of the snapshot: a quick check whether the device could take
// the job, if need be by the mean of the run. REQUIRES: the snapshot has a device. Errors: those of
// PlanJob.
absl::StatusOr<v1::Candidate> PlanOnFirstDevice(const Snapshot& snapshot, const JobView& job);

// The plan for one job of the queue. `placement` has one of three outcomes:
//   device_id set, wait false: the device is free, and the job starts there now.
//   device_id set, wait true: the better device is busy, or each device refuses the job now and
//   this one is known to take it later. The job stays queued, and the plan reserves the device, and
//   the charge of its pack, for the job.
//   device_id empty: no device takes the job at a known time; `reason` and `refusals` say why.
//   With `never`, no device of this fleet can ever take the job: each refusal is permanent, or the
//   spec is invalid. The caller decides how to handle such a job.
struct QueuePlacement {
  JobId job;
  v1::Placement placement;  // the explanation; the decisions are the fields below
  bool never = false;
  // For a start now: the power mode to set (empty: unchanged), whether the cores run it instead of
  // the accelerator, and the prediction of the attempt.
  std::string power_mode;
  bool on_cpu = false;
  v1::Prediction prediction;
  v1::ModelChoice model_choice;  // For a job with a quality floor.
  // With `wait`: the device is free earlier but refuses the job until the start; one clause that
  // says why, without numbers. Empty: the device is busy.
  std::string refused_until_start;
  // The running attempt that leaves the device for this job's deadline; empty: none. The job waits
  // for the device until the attempt is handed over.
  AttemptId releases;
  // No other device of the fleet could ever take the job.
  bool sole = false;
  // Set by the caller from the places of all jobs. queue: the job goes to the busy device and waits
  // there. withdraw: the job's waiting attempt leaves another device.
  bool queue = false;
  bool withdraw = false;
  // See JobView. A job that ends takes no device, and its placement is empty.
  std::optional<v1::ProfilePoint> profile_point = std::nullopt;
  Joules profile_demand = {};
  std::optional<ProfileEnd> profile_end = std::nullopt;
};

// Plans every job of the queue in planning order: effective priority (the spec's, plus one for each
// full hour of waiting, so that no job starves), then age, then id. A device runs one attempt at a
// time; each decision counts for the jobs after it.
//
// Jobs with deadlines may go first. A job that would miss its deadline in this order is planned
// earlier, as little as needed, if it then meets the deadline and no job of the same or a higher
// effective priority misses its own because of that. If this does not help, a running attempt of
// the same or a lower priority is released for the job, under the same condition. Both are bounded
// by a count of trials, so that a long queue of late jobs costs a bounded time. A job that is late
// in every order at the upper quantile of its run may start where the mean is in time, at its own
// turn or as the first one, if no other job loses its place because of that.
//
// If jobs wait, a search looks for a cheaper arrangement of order and devices. The arrangement is
// used if it keeps what jobs are promised (promise_internal.h) and the plan is cheaper by more than
// 1 %. A large fleet is searched in parts, each accepted or rejected separately.
std::vector<QueuePlacement> PlanQueue(const Snapshot& snapshot);

// PlanQueue, and the running attempts that are to leave their devices for a gain.
struct QueueAndMoves {
  std::vector<QueuePlacement> jobs;
  std::vector<GainfulMove> moves;
  // Parts of the fleet for which the search expected a gain, but whose arrangement broke a promise
  // or was not cheaper under all rules.
  int proposals_dropped = 0;
  // In the order of Snapshot::devices: when the running attempt of each device is expected to end,
  // including its rests at the reserve.
  std::vector<absl::Time> free_at;
};
QueueAndMoves PlanQueueAndMoves(const Snapshot& snapshot);
// PlanQueue without the search: the baseline for its plan.
std::vector<QueuePlacement> PlanQueueInOrder(const Snapshot& snapshot);

// PlanQueueAndMoves, and the charge that the queue's plan leaves in each device's pack.
struct QueuePlan {
  std::vector<QueuePlacement> jobs;
  // In the order of Snapshot::devices: the charge at the snapshot's time, at each full hour and at
  // the horizon of the sun; empty: charge or sun is unknown.
  std::vector<std::vector<timetable::ChargeQuantiles>> charge;
  // The device whose gauge and capacity apply to each device: itself, unless it shares a pack.
  std::vector<size_t> gauges;
  std::vector<absl::Time> free_at;  // See QueueAndMoves.
  // By device: the span of that time; nullopt: unknown.
  std::vector<std::optional<TimeSpan>> attempt_ends;
  std::vector<GainfulMove> moves;  // See QueueAndMoves. The charge does not include them.
};
QueuePlan PlanQueueWithCharge(const Snapshot& snapshot);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_PLACE_H_
