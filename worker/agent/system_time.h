// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The wall clock with what the kernel says of it: whether a time service (NTP, PTP, GPS) keeps it,
// and how far it may be off.
#ifndef WATTLE_WORKER_AGENT_SYSTEM_TIME_H_
#define WATTLE_WORKER_AGENT_SYSTEM_TIME_H_

#include <sys/timex.h>

#include <string>

#include "absl/time/time.h"

#include "worker/agent/core/time_keeper.h"

namespace wattle::agent {

// What adjtimex(2) answered, with its return value.
SystemTime SystemTimeOf(const timex& answer, int state, absl::Time now);

// What a file says that systemd-timesyncd touches whenever it has synchronised the clock.
SystemTime SystemTimeBySync(absl::Time synchronized, absl::Time now);

// systemd's ProtectClock= forbids a service to set the clock, and to ask the kernel of it as well.
// There the file of systemd-timesyncd counts. root: of the file tree, "" for this machine's.
SystemTime ReadSystemTime(const std::string& root);

// Why this process never hears of a time service, for people; "": it does.
std::string TimeServiceProblem(const std::string& root);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_SYSTEM_TIME_H_
