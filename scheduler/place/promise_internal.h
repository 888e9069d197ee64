// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What an arrangement of the queue may not take from a job. The plan job by job gives each waiting
// job a run. A job that somebody wants soon, or that has a deadline, keeps its start. Any other job
// may be put off, if the queue then takes fewer joules, until it has waited for kPutOffMax. That
// counts from its submission, so a job that is put off again gets no later than that. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_PROMISE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_PROMISE_INTERNAL_H_

#include <limits>

#include "absl/time/time.h"

#include "scheduler/place/device/option.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// From the submission to the latest start to which a job may be put off. Who waits for that long
// starts no later than job by job.
inline constexpr absl::Duration kPutOffMax = absl::Hours(12);
// Of the time between its end job by job and its deadline: the share by which a job on a slower
// device may end later. The rest is for the jobs that come later.
inline constexpr double kLaterEndSpareRatio = 0.5;

// Whether a later end of the job is worse for its owner than some joules.
bool EndCounts(const v1::JobSpec& spec);

// Whether its owner wants fewer joules and did not ask for it to go before others: the objective is
// not the earliest end, and the priority is not above the default.
bool MayGiveWay(const v1::JobSpec& spec);

// Of one job, in seconds from the plan's now.
struct Promise {
  double latest_start = 0;
  double latest_finish = std::numeric_limits<double>::infinity();  // Of the mean.
};

// That the job starts no later than in this run, and ends no later where its end counts.
Promise PromiseToKeep(const JobView& job, const RunStart& run);

// What holds for any arrangement of a queue that job by job has the job run so. A job that may give
// way may start later, or, with a deadline, end later by its share of what the deadline spares. One
// that would be late ends no later.
Promise PromiseTo(const JobView& job, absl::Time now, const RunStart& in_order);

[[nodiscard]] bool Keeps(const Promise& promise, const RunStart& run);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_PROMISE_INTERNAL_H_
