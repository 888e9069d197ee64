// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The wall clock with what the kernel says of it: whether a time service (NTP, PTP, GPS) keeps it,
// and how far it may be off.
#ifndef WATTLE_WORKER_AGENT_SYSTEM_TIME_H_
#define WATTLE_WORKER_AGENT_SYSTEM_TIME_H_

#include <sys/timex.h>

#include "absl/time/time.h"

#include "worker/agent/core/time_keeper.h"

namespace wattle::agent {

// What adjtimex(2) answered, with its return value.
SystemTime SystemTimeOf(const timex& answer, int state, absl::Time now);

SystemTime ReadSystemTime();

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_SYSTEM_TIME_H_
