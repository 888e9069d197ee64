// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Requires that the upper quantile of the run, with everything around it, ends before the deadline.
// Of a run that is to be probed the lower one. Where no device is in time so, the mean.
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "scheduler/place/rule.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

std::optional<Refusal> CheckDeadline(const Consideration& on) {
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
  const double alone = finish - on.start_in_seconds;
  if (left <= 0) {
    return Refuse(
        on,
        [&] {
          return absl::StrCat("the deadline passed ", FormatElapsed(absl::Seconds(-left)),
                              " ago; submit again with a later one");
        },
        true);
  }
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
                        alone > left ? "" : ", or were it free now");
  };
  // Permanent if a free device would be too late already, because the deadline only comes nearer.
  // Rests are those of this start: another sun or charge takes fewer.
  return Refuse(on, words, alone > left && on.prediction.rest_seconds() <= 0);
}

}  // namespace

extern const Rule kDeadlineRule = {"deadline", RuleScope::kLoad, CheckDeadline};

}  // namespace wattle::scheduler
