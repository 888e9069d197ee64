// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds the strongest box that this machine supports.
#ifndef WATTLE_WORKER_BOX_ISOLATION_H_
#define WATTLE_WORKER_BOX_ISOLATION_H_

#include <string>

#include "absl/status/status.h"

#include "worker/box/level.h"

namespace wattle::box {

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

}  // namespace wattle::box

#endif  // WATTLE_WORKER_BOX_ISOLATION_H_
