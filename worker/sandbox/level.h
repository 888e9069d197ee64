// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The levels of a runner's isolation from the machine. Pure.
#ifndef WATTLE_WORKER_SANDBOX_LEVEL_H_
#define WATTLE_WORKER_SANDBOX_LEVEL_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace wattle::sandbox {

// In order: a later level includes the earlier ones.
enum class Level {
  // Limits of memory and files, a clean environment and no new privileges, which every kernel
  // supports.
  kNone,
  // In addition: only the system calls that jobs need, no other process, no network, no
  // capabilities.
  kSeccomp,
  // In addition Landlock: only the files that the attempt needs.
  kFull,
};

// "none", "seccomp", "full": as flags and the device's fact `isolation` spell them.
absl::string_view LevelName(Level level);
std::optional<Level> ParseLevel(absl::string_view name);

}  // namespace wattle::sandbox

#endif  // WATTLE_WORKER_SANDBOX_LEVEL_H_
