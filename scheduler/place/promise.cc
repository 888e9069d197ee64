// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "scheduler/place/promise_internal.h"

namespace wattle::scheduler {

bool EndCounts(const v1::JobSpec& spec) {
  return spec.objective() == v1::OBJECTIVE_TIME || spec.deadline_seconds() > 0;
}

bool MayBePutOff(const v1::JobSpec& spec) {
  return !EndCounts(spec) && spec.priority() <= 0;
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
  if (MayBePutOff(job.spec)) {
    promise.latest_start =
        std::max(promise.latest_start, absl::ToDoubleSeconds(kPutOffMax) - job.WaitedSeconds(now));
  }
  return promise;
}

bool Keeps(const Promise& promise, const RunStart& run) {
  constexpr double kRoundingSeconds = 1;
  return run.start_in_seconds <= promise.latest_start + kRoundingSeconds &&
         run.finish_in_seconds <= promise.latest_finish + kRoundingSeconds;
}

}  // namespace wattle::scheduler
