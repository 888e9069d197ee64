// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/job_watchers.h"

#include <utility>

namespace wattle::runtime {

void JobWatchers::Add(const JobId& job, std::weak_ptr<JobWatcher> watcher) {
  absl::MutexLock lock(&mutex_);
  by_job_[job].push_back(std::move(watcher));
}

std::vector<std::shared_ptr<JobWatcher>> JobWatchers::Live(
    std::vector<std::weak_ptr<JobWatcher>>& watchers) {
  std::vector<std::shared_ptr<JobWatcher>> live;
  std::vector<std::weak_ptr<JobWatcher>> kept;
  for (std::weak_ptr<JobWatcher>& watcher : watchers) {
    if (std::shared_ptr<JobWatcher> alive = watcher.lock()) {
      live.push_back(std::move(alive));
      kept.push_back(std::move(watcher));
    }
  }
  watchers = std::move(kept);
  return live;
}

void JobWatchers::Notify(const JobId& job) {
  std::vector<std::shared_ptr<JobWatcher>> live;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = by_job_.find(job);
    if (it == by_job_.end()) {
      return;
    }
    live = Live(it->second);
    if (live.empty()) {
      by_job_.erase(it);
    }
  }
  for (const std::shared_ptr<JobWatcher>& watcher : live) {
    watcher->LookAgain();
  }
}

void JobWatchers::NotifyAll() {
  std::vector<JobId> jobs;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [job, watchers] : by_job_) {
      jobs.push_back(job);
    }
  }
  for (const JobId& job : jobs) {
    Notify(job);
  }
}

size_t JobWatchers::size() const {
  absl::MutexLock lock(&mutex_);
  size_t count = 0;
  for (const auto& [job, watchers] : by_job_) {
    count += watchers.size();
  }
  return count;
}

}  // namespace wattle::runtime
