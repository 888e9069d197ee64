// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds the strongest sandbox that this machine supports.
#ifndef WATTLE_WORKER_SANDBOX_ISOLATION_H_
#define WATTLE_WORKER_SANDBOX_ISOLATION_H_

#include <string>

#include "absl/status/status.h"

#include "worker/sandbox/level.h"

namespace wattle::sandbox {

struct Isolation {
  Level level = Level::kNone;
  std::string missing;  // why the level is below the requested one; empty if it is not
};

// The highest level up to `at_most` that works here, found by entering it in a child that then
// tries forbidden actions.
Isolation DetectIsolation(Level at_most);

// One level, tried in the same way. Errors: kUnimplemented, kFailedPrecondition, kInternal.
absl::Status TryLevel(Level level);

// An error (kInvalidArgument, with the remedy) if the level is below `wanted`.
absl::Status CheckAtLeast(const Isolation& isolation, Level wanted);

}  // namespace wattle::sandbox

#endif  // WATTLE_WORKER_SANDBOX_ISOLATION_H_
