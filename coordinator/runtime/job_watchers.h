// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who wants to know when a job changed, progressed or logged. A watcher is told to look again; what
// there is to see it reads itself. Telling is done by a thread of its own (Run), so that neither
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
  // The job changed or logged. From any thread; must not block.
  virtual void LookAgain() = 0;
  // Time for a look at the job's progress, which may be as it was.
  virtual void LookAtProgress() = 0;
};

class JobWatchers {
 public:
  // Watched until it is destroyed.
  void Add(const JobId& job, std::weak_ptr<JobWatcher> watcher);
  // Its watchers look again soon.
  void Notify(const JobId& job);
  // Tells watchers what Notify asked for, and to look at progress every `progress_interval`. Until
  // Stop.
  void Run(absl::Duration progress_interval);
  void Stop() { wake_.Stop(); }
  // The steps of Run.
  void TellNotified();
  void TellProgress();
  [[nodiscard]] size_t size() const;  // Destroyed ones may still be counted.

 private:
  using Watchers = std::vector<std::shared_ptr<JobWatcher>>;
  // Of the jobs, or of all; drops those that are gone.
  Watchers LiveOf(const std::set<JobId>& jobs) ABSL_LOCKS_EXCLUDED(mutex_);
  Watchers LiveOfAll() ABSL_LOCKS_EXCLUDED(mutex_);
  static void AddLive(std::vector<std::weak_ptr<JobWatcher>>& watchers, Watchers& live);

  mutable absl::Mutex mutex_;
  std::map<JobId, std::vector<std::weak_ptr<JobWatcher>>> by_job_ ABSL_GUARDED_BY(mutex_);
  std::set<JobId> notified_ ABSL_GUARDED_BY(mutex_);  // Jobs that are watched.
  WakeSignal wake_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_JOB_WATCHERS_H_
