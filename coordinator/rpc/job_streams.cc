// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/job_streams.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "artifacts/transfer/grpc_status.h"
#include "coordinator/runtime/job_watchers.h"
#include "coordinator/runtime/latest_heartbeats.h"
#include "coordinator/runtime/unknown_fields.h"
#include "proto/state_names.h"

namespace wattle::rpc {
namespace {

constexpr size_t kLinesAtOnce = 200;

// A server stream that a watcher wakes to look for its next message. LookForNext runs under the
// lock, so no two calls overlap. LookForNext only reads from the runtime.
template <typename Message>
class FollowStream : public grpc::ServerWriteReactor<Message>,
                     public runtime::JobWatcher,
                     public std::enable_shared_from_this<FollowStream<Message>> {
 public:
  void Begin(runtime::JobWatchers& watchers, const JobId& job,
             callers::CallLimits::Stream counted) {
    self_ = this->shared_from_this();
    counted_.emplace(std::move(counted));
    counted_->OnEnd([weak = this->weak_from_this()](const absl::Status& why) {
      if (const auto stream = weak.lock()) {
        stream->EndFor(why);
      }
    });
    watchers.Add(job, this->weak_from_this());
    LookAgain();
  }
  void Refuse(const absl::Status& status) {
    self_ = this->shared_from_this();
    absl::MutexLock lock(&mutex_);
    EndLocked(status);
  }

  void LookAgain() override {
    absl::MutexLock lock(&mutex_);
    changed_ = true;
    PumpLocked();
  }
  void LookAtProgress() override {
    absl::MutexLock lock(&mutex_);
    PumpLocked();
  }
  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) {
      EndLocked(absl::CancelledError("stream cancelled"));
      return;
    }
    PumpLocked();
  }
  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    PumpLocked();
  }
  void OnDone() override { self_.reset(); }

 protected:
  // Fills `message` and returns true, or returns false if there is nothing new. Sets `end` when no
  // more messages will come. changed: the job changed or logged since the last look.
  virtual bool LookForNext(bool changed, Message& message, bool& end) = 0;

 private:
  void EndFor(const absl::Status& why) {
    absl::MutexLock lock(&mutex_);
    refusal_ = why;
    PumpLocked();
  }
  void PumpLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || ended_) {
      return;
    }
    if (cancelled_ || !refusal_.ok()) {
      EndLocked(cancelled_ ? absl::CancelledError("stream cancelled") : refusal_);
      return;
    }
    bool end = false;
    if (LookForNext(std::exchange(changed_, false), outgoing_, end)) {
      writing_ = true;
      this->StartWrite(&outgoing_);
    } else if (end) {
      EndLocked(absl::OkStatus());
    }
  }
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!ended_) {
      ended_ = true;
      this->Finish(ToGrpc(status));
    }
  }

  std::shared_ptr<FollowStream> self_;                  // Set until OnDone.
  std::optional<callers::CallLimits::Stream> counted_;  // Set by Begin.
  absl::Mutex mutex_;
  Message outgoing_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);  // Set if the caller was revoked meanwhile.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

class JobWatch final : public FollowStream<v1::JobUpdate> {
 public:
  JobWatch(runtime::Api& api, JobId job) : api_(api), job_(std::move(job)) {}

 private:
  bool LookForNext(bool changed, v1::JobUpdate& message, bool& end) override {
    if (!changed && !HasProgressed()) {
      end = ended_;
      return false;
    }
    absl::StatusOr<v1::JobUpdate> update = api_.UpdateOf(job_);
    if (!update.ok()) {
      end = true;
      return false;
    }
    ended_ = IsTerminal(update->job().state());
    progress_ = update->progress().SerializeAsString();
    Explain(*update->mutable_job());
    std::string bytes = update->SerializeAsString();
    if (bytes == last_sent_) {
      end = ended_;
      return false;
    }
    last_sent_ = std::move(bytes);
    message = *std::move(update);
    return true;
  }

  // Reads one message of the last heartbeat, which is cheap: most of a thousand watchers find
  // nothing new.
  bool HasProgressed() const {
    if (slot_ == nullptr) {
      return false;  // Without an attempt there is no progress.
    }
    const std::optional<v1::AttemptProgress> progress = slot_->ProgressOf(attempt_);
    return progress.has_value() && progress->SerializeAsString() != progress_;
  }

  // Adds the explanations of the placements. Asks the history once for each attempt.
  void Explain(v1::Job& job) {
    if (job.attempts_size() == 0) {
      return;
    }
    const v1::Attempt& last = *job.attempts().rbegin();
    if (attempt_.value() != last.attempt_id()) {
      attempt_ = AttemptId(last.attempt_id());
      slot_ = api_.runtime().heartbeats().SlotFor(DeviceId(last.device_id()));
      v1::Job explained = job;
      if (!api_.runtime().history().Explain(explained).ok()) {
        return;  // The watch goes on without the explanations.
      }
      placements_.clear();
      for (v1::Attempt& attempt : *explained.mutable_attempts()) {
        placements_[attempt.attempt_id()].Swap(attempt.mutable_placement());
      }
    }
    for (v1::Attempt& attempt : *job.mutable_attempts()) {
      *attempt.mutable_placement() = placements_[attempt.attempt_id()];
    }
  }

  runtime::Api& api_;
  const JobId job_;
  std::string last_sent_;
  std::string progress_;  // The progress at the last look, serialized.
  bool ended_ = false;
  AttemptId attempt_;                                      // The latest attempt.
  std::shared_ptr<runtime::LatestHeartbeats::Slot> slot_;  // The latest attempt's device.
  std::map<std::string, v1::Placement> placements_;        // Key: the attempt's id.
};

class JobLogs final : public FollowStream<v1::LogLine> {
 public:
  JobLogs(runtime::Api& api, JobId job, bool follow)
      : api_(api), job_(std::move(job)), follow_(follow) {}

 private:
  bool LookForNext(bool changed, v1::LogLine& message, bool& end) override {
    if (!changed && waiting_) {
      return false;  // A new line would have set `changed`.
    }
    if (lines_.empty()) {
      // Asks for the job's state before it reads the lines, so that it finds the lines that the job
      // logged before its end.
      const absl::StatusOr<v1::JobUpdate> update = api_.UpdateOf(job_);
      const bool over = !follow_ || !update.ok() || IsTerminal(update->job().state());
      runtime::AttemptLogs::Lines more =
          api_.runtime().logs().Read(job_.value(), next_, kLinesAtOnce);
      next_ = more.next;
      lines_.assign(more.lines.begin(), more.lines.end());
      end = over && lines_.empty();
      waiting_ = !over && lines_.empty();
    }
    if (lines_.empty()) {
      return false;
    }
    message = std::move(lines_.front());
    lines_.pop_front();
    return true;
  }

  runtime::Api& api_;
  const JobId job_;
  const bool follow_;
  int64_t next_ = 1;
  bool waiting_ = false;  // The last look found no line, and the job has not ended.
  std::deque<v1::LogLine> lines_;
};

// Opens the stream for a known job, or a stream that refuses.
template <typename Stream, typename Request>
auto Open(runtime::Api& api, const Request& request, CountedStream counted,
          const std::shared_ptr<Stream>& stream) {
  absl::Status status = counted.status();
  status.Update(runtime::RefuseUnknownFields(request));
  if (status.ok()) {
    status = api.UpdateOf(JobId(request.job_id())).status();
  }
  if (status.ok()) {
    stream->Begin(api.runtime().watchers(), JobId(request.job_id()), *std::move(counted));
  } else {
    stream->Refuse(status);
  }
  return stream.get();
}

}  // namespace

grpc::ServerWriteReactor<v1::JobUpdate>* OpenJobWatch(runtime::Api& api,
                                                      const v1::WatchJobRequest& request,
                                                      CountedStream counted) {
  return Open(api, request, std::move(counted),
              std::make_shared<JobWatch>(api, JobId(request.job_id())));
}

grpc::ServerWriteReactor<v1::LogLine>* OpenJobLogs(runtime::Api& api,
                                                   const v1::GetJobLogsRequest& request,
                                                   CountedStream counted) {
  return Open(api, request, std::move(counted),
              std::make_shared<JobLogs>(api, JobId(request.job_id()), request.follow()));
}

}  // namespace wattle::rpc
