// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/job_watchers.h"

#include <chrono>
#include <iterator>
#include <utility>

namespace wattle::runtime {

void JobWatchers::Add(const JobId& job, std::weak_ptr<JobWatcher> watcher) {
  absl::MutexLock lock(&mutex_);
  by_job_[job].push_back(std::move(watcher));
}

void JobWatchers::Notify(const JobId& job) {
  {
    absl::MutexLock lock(&mutex_);
    if (!by_job_.contains(job)) {
      return;
    }
    notified_.insert(job);
  }
  wake_.Wake();
}

void JobWatchers::AddLive(std::vector<std::weak_ptr<JobWatcher>>& watchers, Watchers& live) {
  std::vector<std::weak_ptr<JobWatcher>> kept;
  for (std::weak_ptr<JobWatcher>& watcher : watchers) {
    if (std::shared_ptr<JobWatcher> alive = watcher.lock()) {
      live.push_back(std::move(alive));
      kept.push_back(std::move(watcher));
    }
  }
  watchers = std::move(kept);
}

JobWatchers::Watchers JobWatchers::LiveOf(const std::set<JobId>& jobs) {
  Watchers live;
  absl::MutexLock lock(&mutex_);
  for (const JobId& job : jobs) {
    if (const auto it = by_job_.find(job); it != by_job_.end()) {
      AddLive(it->second, live);
    }
  }
  return live;
}

JobWatchers::Watchers JobWatchers::LiveOfAll() {
  Watchers live;
  absl::MutexLock lock(&mutex_);
  for (auto it = by_job_.begin(); it != by_job_.end();) {
    AddLive(it->second, live);
    it = it->second.empty() ? by_job_.erase(it) : std::next(it);
  }
  return live;
}

void JobWatchers::Run(absl::Duration progress_interval) {
  std::chrono::steady_clock::time_point next_progress = std::chrono::steady_clock::now();
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_progress) {
      next_progress = now + absl::ToChronoNanoseconds(progress_interval);
      TellProgress();
    }
    if (wake_.WaitFor(absl::FromChrono(next_progress - now)) == WakeSignal::Reason::kStopped) {
      return;
    }
    TellNotified();
  }
}

// TellNotified and TellProgress hold their watchers outside the lock, because releasing the last
// pointer destroys the watcher.
void JobWatchers::TellNotified() {
  std::set<JobId> jobs;
  {
    absl::MutexLock lock(&mutex_);
    jobs.swap(notified_);
  }
  for (const std::shared_ptr<JobWatcher>& watcher : LiveOf(jobs)) {
    watcher->LookAgain();
  }
}

void JobWatchers::TellProgress() {
  for (const std::shared_ptr<JobWatcher>& watcher : LiveOfAll()) {
    watcher->LookAtProgress();
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
