// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Promises to jobs that no arrangement of the queue may break. Planning job by job gives each
// waiting job a run. A job that is urgent or has a deadline keeps its start. Any other job may be
// put off, if the queue then takes fewer joules, until it has waited for kPutOffMax. The wait
// counts from its submission, so repeated plans cannot exceed it. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_PROMISE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_PROMISE_INTERNAL_H_

#include <limits>

#include "absl/time/time.h"

#include "scheduler/place/device/option.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// From the submission to the latest start to which a job may be put off. A job that has waited this
// long starts no later than job by job.
inline constexpr absl::Duration kPutOffMax = absl::Hours(12);
// Share of the time between the job's end job by job and its deadline by which a slower device may
// delay the end. The rest is left for jobs that are submitted later.
inline constexpr double kLaterEndSpareRatio = 0.5;

// Whether a later end of the job is worse for its owner than a few joules.
bool EndCounts(const v1::JobSpec& spec);

// Whether the owner prefers fewer joules to precedence: the objective is not the earliest end, and
// the priority is not above the default.
bool MayGiveWay(const v1::JobSpec& spec);

// Promise to one job, in seconds from the plan's now.
struct Promise {
  double latest_start = 0;
  double latest_finish = std::numeric_limits<double>::infinity();  // Mean end.
};

// Promises a start no later than in this run, and, if its end counts, an end no later.
Promise PromiseToKeep(const JobView& job, const RunStart& run);

// The promise for any rearrangement of a queue that job by job gives the job this run. A job that
// may give way may start later, or, with a deadline, end later by its share of the spare time. A
// job that would be late must end no later.
Promise PromiseTo(const JobView& job, absl::Time now, const RunStart& in_order);

[[nodiscard]] bool Keeps(const Promise& promise, const RunStart& run);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_PROMISE_INTERNAL_H_
