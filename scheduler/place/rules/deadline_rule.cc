// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Requires that the upper quantile of the run, with everything around it, ends before the deadline;
// for a probe the lower quantile; if no device is in time by that, the mean.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "scheduler/place/device/transfer_schedule.h"
#include "scheduler/place/device/work_times.h"
#include "scheduler/place/rules/rule.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

// Wall seconds until the end of the run if the board were free and cool now. No later start ends
// earlier, whatever its pauses, waits and heat.
double EarliestFinish(const DeviceEvaluation& on) {
  const auto finish = [&on](const v1::Prediction& run) {
    const v1::Interval& seconds = run.run_seconds();
    const double upper =
        seconds.high() + (on.probes ? 0 : SlowTransferSeconds(on.device.device, run));
    const Joules drawn(on.device.device.heartbeat().budget_day_energy_joules());
    return FinishIn(on.snapshot.now, on.limits, on.windows,
                    {.prediction = run, .start_in_seconds = 0, .spent = drawn},
                    on.deadline_by == DeadlineBy::kMean ? seconds.mean() : upper);
  };
  const double now = finish(on.prediction);
  return on.alone == nullptr ? now : std::min(now, finish(*on.alone));
}

std::optional<Refusal> CheckDeadline(const DeviceEvaluation& on) {
  if (on.job.spec.deadline_seconds() <= 0) {
    return std::nullopt;
  }
  const double waited = on.job.WaitedSeconds(on.snapshot.now);
  const double left = on.job.spec.deadline_seconds() - waited;
  const bool by_mean = on.deadline_by == DeadlineBy::kMean;
  const double finish = by_mean ? on.finish_in_seconds_mean : on.finish_in_seconds_upper;
  if (finish <= left) {
    return std::nullopt;
  }
  if (left <= 0) {
    return Refuse(
        on,
        [&] {
          return absl::StrCat("the deadline passed ", FormatElapsed(absl::Seconds(-left)),
                              " ago; submit again with a later one");
        },
        true);
  }
  // Time only brings the deadline nearer.
  const bool permanent = EarliestFinish(on) > left;
  const auto words = [&] {
    return absl::StrCat(on.probes ? "ends at the earliest in "
                        : by_mean ? "is expected to end in "
                                  : "may end in ",
                        FormatElapsed(absl::Seconds(finish)), ", the deadline is in ",
                        FormatElapsed(absl::Seconds(left)), "; feasible with a deadline of ",
                        FormatElapsed(absl::Seconds(finish + waited)),
                        on.prediction.provenance() == v1::PROVENANCE_PROBED
                            ? ", as its first steps there told"
                            : "",
                        permanent ? "" : ", or were it free now");
  };
  return Refuse(on, words, permanent);
}

}  // namespace

extern const Rule kDeadlineRule = {"deadline", RuleScope::kLoad, CheckDeadline};

}  // namespace wattle::scheduler
