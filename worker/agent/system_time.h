// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The wall clock and the kernel's statements about it: whether a time service (NTP, PTP, GPS) keeps
// it, and its error bound.
#ifndef WATTLE_WORKER_AGENT_SYSTEM_TIME_H_
#define WATTLE_WORKER_AGENT_SYSTEM_TIME_H_

#include <sys/timex.h>

#include <string>

#include "absl/time/time.h"

#include "worker/agent/core/time_keeper.h"

namespace wattle::agent {

// From the answer of adjtimex(2) and its return value.
SystemTime SystemTimeOf(const timex& answer, int state, absl::Time now);

// From the time of the file that systemd-timesyncd touches after each synchronization.
SystemTime SystemTimeBySync(absl::Time synchronized, absl::Time now);

// systemd's ProtectClock= forbids a service to set the clock, and also to query the kernel about
// it. In that case the file of systemd-timesyncd is used. root: of the file tree, "" for this
// machine's.
SystemTime ReadSystemTime(const std::string& root);

// Why this process cannot detect a time service, for people; "": it can.
std::string TimeServiceProblem(const std::string& root);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_SYSTEM_TIME_H_
