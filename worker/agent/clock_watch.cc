// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/clock_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace wattle::agent {

std::string ClockWatch::Observe(const ClockReading& reading) {
  const std::optional<ClockReading> before = std::exchange(last_, reading);
  if (!before) {
    return "";
  }
  std::string text;
  const absl::Duration passed = reading.boottime - before->boottime;
  const absl::Duration slept = passed - (reading.monotonic - before->monotonic);
  if (slept > kNoticed) {
    suspended_ += slept;
    text = absl::StrCat("the board was suspended for ",
                        absl::FormatDuration(absl::Trunc(slept, absl::Seconds(1))),
                        "; nothing was measured meanwhile");
  }
  const absl::Duration step = (reading.civil - before->civil) - passed;
  if (absl::AbsDuration(step) > kNoticed) {
    ++clock_steps_;
    absl::StrAppend(&text, text.empty() ? "" : "; ", "the clock was set ",
                    step > absl::ZeroDuration() ? "forward" : "back", " by ",
                    absl::FormatDuration(absl::Trunc(absl::AbsDuration(step), absl::Seconds(1))));
  }
  return text;
}

}  // namespace wattle::agent
