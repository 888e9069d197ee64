// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which box this machine can give its runners.
#ifndef WATTLE_WORKER_BOX_ISOLATION_H_
#define WATTLE_WORKER_BOX_ISOLATION_H_

#include <string>

#include "absl/status/status.h"

#include "worker/box/level.h"

namespace wattle::box {

struct Isolation {
  Level level = Level::kNone;
  std::string missing;  // why the level is not the one that was asked for; empty where it is
};

// The highest level up to `at_most` that works here, found by entering it in a child that then
// tries what it may not do.
Isolation DetectIsolation(Level at_most);

// One level, tried in the same way. Errors: kUnimplemented, kFailedPrecondition, kInternal.
absl::Status TryLevel(Level level);

// An error (kInvalidArgument, with the remedy) where the level is below the one that is wanted.
absl::Status CheckAtLeast(const Isolation& isolation, Level wanted);

}  // namespace wattle::box

#endif  // WATTLE_WORKER_BOX_ISOLATION_H_
