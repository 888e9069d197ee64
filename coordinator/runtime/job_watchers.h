// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Notifies watchers that a job changed, progressed or logged. A notification carries no data: the
// watcher reads the job itself. Run notifies the watchers on its own thread, so that neither
// commits nor answers wait for a thousand watchers. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_JOB_WATCHERS_H_
#define WATTLE_COORDINATOR_RUNTIME_JOB_WATCHERS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "coordinator/runtime/wake_signal.h"
#include "units/id.h"

namespace wattle::runtime {

class JobWatcher {
 public:
  virtual ~JobWatcher() = default;
  // The job changed or logged. Any thread may call this method. The method must not block.
  virtual void LookAgain() = 0;
  // The job's progress, which may be unchanged, should be read.
  virtual void LookAtProgress() = 0;
};

class JobWatchers {
 public:
  // Notifies the watcher of the job until the watcher is destroyed.
  void Add(const JobId& job, std::weak_ptr<JobWatcher> watcher);
  // Asks Run to notify the job's watchers.
  void Notify(const JobId& job);
  // Notifies the watchers of changed jobs, and every `progress_interval` all watchers, until Stop.
  void Run(absl::Duration progress_interval);
  void Stop() { wake_.Stop(); }
  // The steps of Run.
  void TellNotified();
  void TellProgress();
  [[nodiscard]] size_t size() const;  // May count destroyed watchers.

 private:
  using Watchers = std::vector<std::shared_ptr<JobWatcher>>;
  // The living watchers of these jobs, or of all jobs. Drops destroyed watchers.
  Watchers LiveOf(const std::set<JobId>& jobs) ABSL_LOCKS_EXCLUDED(mutex_);
  Watchers LiveOfAll() ABSL_LOCKS_EXCLUDED(mutex_);
  static void AddLive(std::vector<std::weak_ptr<JobWatcher>>& watchers, Watchers& live);

  mutable absl::Mutex mutex_;
  std::map<JobId, std::vector<std::weak_ptr<JobWatcher>>> by_job_ ABSL_GUARDED_BY(mutex_);
  std::set<JobId> notified_ ABSL_GUARDED_BY(mutex_);  // Only jobs that have watchers.
  WakeSignal wake_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_JOB_WATCHERS_H_
