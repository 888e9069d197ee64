// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/system_time.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/clock.h"

namespace wattle::agent {
namespace {

constexpr char kTimesync[] = "/run/systemd/timesync";
// After this time the clock may have been set by hand, so TimeKeeper continues by itself.
constexpr absl::Duration kJustSynchronized = absl::Minutes(2);
// timesyncd steps a clock that is off by 0.4 s or more, and slews smaller differences.
constexpr absl::Duration kErrorAfterSync = absl::Seconds(1);

bool KernelTells() {
  timex answer = {};
  return adjtimex(&answer) >= 0;
}

absl::Time SynchronizedAt(const std::string& root) {
  struct stat facts = {};
  const std::string path = root + kTimesync + "/synchronized";
  return stat(path.c_str(), &facts) == 0 ? absl::TimeFromTimespec(facts.st_mtim)
                                         : absl::InfinitePast();
}

}  // namespace

// The kernel sets STA_UNSYNC itself once the clock has not been disciplined for so long that its
// growing error bound reaches 16 s.
SystemTime SystemTimeOf(const timex& answer, int state, absl::Time now) {
  SystemTime time = {.time = now};
  if (state >= 0 && state != TIME_ERROR && (answer.status & STA_UNSYNC) == 0) {
    time.error = absl::Microseconds(std::max(answer.maxerror, answer.esterror));
  }
  return time;
}

SystemTime SystemTimeBySync(absl::Time synchronized, absl::Time now) {
  SystemTime time = {.time = now};
  if (synchronized <= now && now - synchronized < kJustSynchronized) {
    time.error = kErrorAfterSync;
  }
  return time;
}

SystemTime ReadSystemTime(const std::string& root) {
  timex answer = {};
  const int state = adjtimex(&answer);
  const absl::Time now = Clock::Real().Now();
  if (state >= 0) {
    return SystemTimeOf(answer, state, now);
  }
  return SystemTimeBySync(SynchronizedAt(root), now);
}

std::string TimeServiceProblem(const std::string& root) {
  std::error_code ignored;
  return KernelTells() || std::filesystem::is_directory(root + kTimesync, ignored)
             ? ""
             : "this service may not ask the kernel for the time service, and systemd-timesyncd "
               "does not run: the board learns the time from its coordinator alone; the remedy is "
               "in docs/operate/clocks.md";
}

}  // namespace wattle::agent
