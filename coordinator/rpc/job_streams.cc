// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/job_streams.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "artifacts/transfer/grpc_status.h"
#include "coordinator/core/state.h"
#include "coordinator/runtime/job_watchers.h"
#include "coordinator/runtime/unknown_fields.h"

namespace wattle::rpc {
namespace {

constexpr size_t kLinesAtOnce = 200;

// A server stream that is woken to look for its next message. LookForNext runs under the lock, so
// it is never asked twice at once; it only reads from the runtime.
template <typename Message>
class FollowStream : public grpc::ServerWriteReactor<Message>,
                     public runtime::JobWatcher,
                     public std::enable_shared_from_this<FollowStream<Message>> {
 public:
  void Begin(runtime::JobWatchers& watchers, const JobId& job) {
    self_ = this->shared_from_this();
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
  // Fills `message` and returns true, or returns false: nothing new. Sets `end` when nothing will
  // come any more.
  virtual bool LookForNext(Message& message, bool& end) = 0;

 private:
  void PumpLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || ended_) {
      return;
    }
    if (cancelled_) {
      EndLocked(absl::CancelledError("stream cancelled"));
      return;
    }
    bool end = false;
    if (LookForNext(outgoing_, end)) {
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

  std::shared_ptr<FollowStream> self_;  // Until OnDone.
  absl::Mutex mutex_;
  Message outgoing_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

class JobWatch final : public FollowStream<v1::JobUpdate> {
 public:
  JobWatch(runtime::Api& api, JobId job) : api_(api), job_(std::move(job)) {}

 private:
  bool LookForNext(v1::JobUpdate& message, bool& end) override {
    absl::StatusOr<v1::JobUpdate> update = api_.UpdateOf(job_);
    if (!update.ok()) {
      end = true;
      return false;
    }
    std::string bytes = update->SerializeAsString();
    if (bytes == last_sent_) {
      end = core::IsTerminal(update->job().state());
      return false;
    }
    last_sent_ = std::move(bytes);
    message = *std::move(update);
    return true;
  }

  runtime::Api& api_;
  const JobId job_;
  std::string last_sent_;
};

class JobLogs final : public FollowStream<v1::LogLine> {
 public:
  JobLogs(runtime::Api& api, JobId job, bool follow)
      : api_(api), job_(std::move(job)), follow_(follow) {}

 private:
  bool LookForNext(v1::LogLine& message, bool& end) override {
    if (lines_.empty()) {
      // Asked before the lines are read: what the job logged before its end is still found.
      const absl::StatusOr<v1::JobUpdate> update = api_.UpdateOf(job_);
      const bool over = !follow_ || !update.ok() || core::IsTerminal(update->job().state());
      runtime::AttemptLogs::Lines more =
          api_.runtime().logs().Read(job_.value(), next_, kLinesAtOnce);
      next_ = more.next;
      lines_.assign(more.lines.begin(), more.lines.end());
      end = over && lines_.empty();
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
  std::deque<v1::LogLine> lines_;
};

// Opens the stream for a job that is known, else one that is refused.
template <typename Stream, typename Request>
auto Open(runtime::Api& api, const Request& request, std::shared_ptr<Stream> stream) {
  absl::Status status = runtime::RefuseUnknownFields(request);
  if (status.ok()) {
    status = api.UpdateOf(JobId(request.job_id())).status();
  }
  if (status.ok()) {
    stream->Begin(api.runtime().watchers(), JobId(request.job_id()));
  } else {
    stream->Refuse(status);
  }
  return stream.get();
}

}  // namespace

grpc::ServerWriteReactor<v1::JobUpdate>* OpenJobWatch(runtime::Api& api,
                                                      const v1::WatchJobRequest& request) {
  return Open(api, request, std::make_shared<JobWatch>(api, JobId(request.job_id())));
}

grpc::ServerWriteReactor<v1::LogLine>* OpenJobLogs(runtime::Api& api,
                                                   const v1::GetJobLogsRequest& request) {
  return Open(api, request,
              std::make_shared<JobLogs>(api, JobId(request.job_id()), request.follow()));
}

}  // namespace wattle::rpc
