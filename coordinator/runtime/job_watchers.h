// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who wants to know when a job changed, progressed or logged. A watcher is told to look again; what
// there is to see it reads itself. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_JOB_WATCHERS_H_
#define WATTLE_COORDINATOR_RUNTIME_JOB_WATCHERS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "units/id.h"

namespace wattle::runtime {

class JobWatcher {
 public:
  virtual ~JobWatcher() = default;
  // From any thread; must not block.
  virtual void LookAgain() = 0;
};

class JobWatchers {
 public:
  // Watched until it is destroyed.
  void Add(const JobId& job, std::weak_ptr<JobWatcher> watcher);
  void Notify(const JobId& job);
  void NotifyAll();
  [[nodiscard]] size_t size() const;  // Destroyed ones may still be counted.

 private:
  // Live watchers of one list; removes the dead ones.
  static std::vector<std::shared_ptr<JobWatcher>> Live(
      std::vector<std::weak_ptr<JobWatcher>>& watchers);

  mutable absl::Mutex mutex_;
  std::map<JobId, std::vector<std::weak_ptr<JobWatcher>>> by_job_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_JOB_WATCHERS_H_
