// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Abseil's mutexes, which gRPC uses too, search for cycles of locks if the library was built
// without NDEBUG, as Debian's is. Each lock then takes a global one, for which the threads of a
// coordinator wait while thousands of boards connect.
#ifndef WATTLE_BASE_DEADLOCK_DETECTION_H_
#define WATTLE_BASE_DEADLOCK_DETECTION_H_

#include "absl/synchronization/mutex.h"

namespace wattle {

// For an installed program, before its first thread. Tests and debug builds keep the detection.
inline void LeaveDeadlockDetectionToTests() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

}  // namespace wattle

#endif  // WATTLE_BASE_DEADLOCK_DETECTION_H_
