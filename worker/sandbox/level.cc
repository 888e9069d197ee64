// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox/level.h"

namespace wattle::sandbox {

absl::string_view LevelName(Level level) {
  switch (level) {
    case Level::kNone:
      return "none";
    case Level::kSeccomp:
      return "seccomp";
    case Level::kFull:
      return "full";
  }
  return "";
}

std::optional<Level> ParseLevel(absl::string_view name) {
  for (const Level level : {Level::kNone, Level::kSeccomp, Level::kFull}) {
    if (name == LevelName(level)) {
      return level;
    }
  }
  return std::nullopt;
}

}  // namespace wattle::sandbox
