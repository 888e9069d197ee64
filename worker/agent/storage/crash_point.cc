// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/crash_point.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"

namespace wattle::agent {
namespace {

constexpr std::array<absl::string_view, 12> kOurs = {
    "accept",      "progress",    "checkpoint",   "finish",
    "reported",    "spool:write", "spool:fsync",  "spool:acknowledge",
    "state:write", "state:sync",  "state:rename", "state:sync_directory"};

struct Plan {
  std::string name;
  std::atomic<int> left{1};

  Plan() {
    const char* text = std::getenv("WATTLE_CRASH_AT");  // NOLINT(concurrency-mt-unsafe): read once
    if (text == nullptr) {
      return;
    }
    name = text;
    const size_t colon = name.rfind(':');
    int count = 0;
    if (colon != std::string::npos && absl::SimpleAtoi(name.substr(colon + 1), &count)) {
      left = count;
      name.resize(colon);
    }
    if (std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end()) {
      unsetenv("WATTLE_CRASH_AT");  // NOLINT(concurrency-mt-unsafe): before any thread
    } else {
      name.clear();  // the runner's
    }
  }
};

}  // namespace

void CrashPoint(absl::string_view name) {
  static Plan plan;
  if (!plan.name.empty() && plan.name == name && --plan.left == 0) {
    kill(getpid(), SIGKILL);
  }
}

}  // namespace wattle::agent
