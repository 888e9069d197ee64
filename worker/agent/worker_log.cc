// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/worker_log.h"

#include <cstdio>

#include "absl/time/time.h"

#include "base/clock.h"
#include "base/utf8.h"

namespace wattle::agent {

void WorkerLog::Write(const std::string& line) {
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", Clock::Real().Now(), absl::UTCTimeZone());
  absl::MutexLock lock(&mutex_);
  for (const std::string& written : limit_.Take(line, Clock::Real().Boottime())) {
    std::fprintf(stderr, "%s wattle-worker: %s\n", time.c_str(), OneLine(written).c_str());
  }
}

}  // namespace wattle::agent
