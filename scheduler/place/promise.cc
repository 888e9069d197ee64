// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "scheduler/place/promise_internal.h"

namespace wattle::scheduler {

bool EndCounts(const v1::JobSpec& spec) {
  return spec.objective() == v1::OBJECTIVE_TIME || spec.deadline_seconds() > 0;
}

bool MayGiveWay(const v1::JobSpec& spec) {
  return spec.objective() != v1::OBJECTIVE_TIME && spec.priority() <= 0;
}

Promise PromiseToKeep(const JobView& job, const RunStart& run) {
  Promise promise{.latest_start = run.start_in_seconds};
  if (EndCounts(job.spec)) {
    promise.latest_finish = run.finish_in_seconds;
  }
  return promise;
}

Promise PromiseTo(const JobView& job, absl::Time now, const RunStart& in_order) {
  Promise promise = PromiseToKeep(job, in_order);
  if (MayGiveWay(job.spec)) {
    const double waited = job.WaitedSeconds(now);
    if (job.spec.deadline_seconds() <= 0) {
      promise.latest_start =
          std::max(promise.latest_start, absl::ToDoubleSeconds(kPutOffMax) - waited);
    }
    // Infinite without a deadline.
    const double spare = job.spec.deadline_seconds() - waited - promise.latest_finish;
    promise.latest_finish += kLaterEndSpareRatio * std::max(0.0, spare);
  }
  return promise;
}

bool Keeps(const Promise& promise, const RunStart& run) {
  constexpr double kRoundingSeconds = 1;
  return run.start_in_seconds <= promise.latest_start + kRoundingSeconds &&
         run.finish_in_seconds <= promise.latest_finish + kRoundingSeconds;
}

}  // namespace wattle::scheduler
