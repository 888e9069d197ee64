// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's log: one line for people, with its time. Thread-safe.
#ifndef WATTLE_WORKER_AGENT_WORKER_LOG_H_
#define WATTLE_WORKER_AGENT_WORKER_LOG_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/line_limit.h"

namespace wattle::agent {

class WorkerLog {
 public:
  // Writes to the error stream: at most 20 lines a minute for one cause, then a count. A line may
  // contain words from another board, so each is written as text of one line and cannot forge
  // another.
  void Write(const std::string& line);

 private:
  absl::Mutex mutex_;
  LineLimit limit_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_WORKER_LOG_H_
