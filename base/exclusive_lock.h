// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The lock of one process for each directory (flock). The kernel releases the lock once no process
// has the open file any more.
#ifndef WATTLE_BASE_EXCLUSIVE_LOCK_H_
#define WATTLE_BASE_EXCLUSIVE_LOCK_H_

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace wattle {

// Locks an open file that was opened with O_CLOEXEC; returns whether it is locked. A killed process
// may leave a child between fork and exec, which holds the file until then. If another process
// holds the lock, the function therefore retries for a second. wait: passes the time between two
// tries.
bool TakeExclusiveLock(int file, absl::FunctionRef<void(absl::Duration)> wait = absl::SleepFor);

}  // namespace wattle

#endif  // WATTLE_BASE_EXCLUSIVE_LOCK_H_
