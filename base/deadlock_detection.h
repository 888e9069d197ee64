// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// absl's mutexes, which gRPC's are too, look for cycles of locks where the library was built
// without NDEBUG, as Debian's is. Each lock then takes a global one, for which the threads of a
// coordinator wait while thousands of boards connect.
#ifndef WATTLE_BASE_DEADLOCK_DETECTION_H_
#define WATTLE_BASE_DEADLOCK_DETECTION_H_

#include "absl/synchronization/mutex.h"

namespace wattle {

// For an installed program, before its first thread. Tests and debug builds go on looking.
inline void LeaveDeadlockDetectionToTests() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

}  // namespace wattle

#endif  // WATTLE_BASE_DEADLOCK_DETECTION_H_
