// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/system_time.h"

#include <algorithm>

#include "base/clock.h"

namespace wattle::agent {

// The kernel sets STA_UNSYNC itself once nobody has disciplined the clock for so long that its
// bound of the error, which grows meanwhile, is 16 s.
SystemTime SystemTimeOf(const timex& answer, int state, absl::Time now) {
  SystemTime time = {.time = now};
  if (state >= 0 && state != TIME_ERROR && (answer.status & STA_UNSYNC) == 0) {
    time.error = absl::Microseconds(std::max(answer.maxerror, answer.esterror));
  }
  return time;
}

SystemTime ReadSystemTime() {
  timex answer = {};
  const int state = adjtimex(&answer);
  return SystemTimeOf(answer, state, Clock::Real().Now());
}

}  // namespace wattle::agent
