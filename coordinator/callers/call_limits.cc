// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/call_limits.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace wattle::callers {
namespace {

// Beyond this many callers, quiet ones are dropped; their buckets are full anyway.
constexpr size_t kBucketsMax = 20'000;

}  // namespace

struct CallLimits::Streams {
  absl::Mutex mutex;
  std::map<std::string, std::set<std::shared_ptr<Stream::Open>>> open ABSL_GUARDED_BY(mutex);
};

class CallLimits::Stream::Open : public std::enable_shared_from_this<CallLimits::Stream::Open> {
 public:
  Open(std::shared_ptr<Streams> all, std::string caller, std::function<void()> cancel)
      : all_(std::move(all)), caller_(std::move(caller)), cancel_(std::move(cancel)) {}

  // The handler ends, and with it the object that `cancel` refers to.
  void Leave() {
    {
      absl::MutexLock lock(&mutex_);
      cancel_ = nullptr;
      on_end_ = nullptr;
    }
    absl::MutexLock lock(&all_->mutex);
    const auto mine = all_->open.find(caller_);
    mine->second.erase(shared_from_this());
    if (mine->second.empty()) {
      all_->open.erase(mine);
    }
  }
  [[nodiscard]] absl::Status ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }
  void OnEnd(std::function<void(const absl::Status& why)> end) {
    absl::Status why;
    {
      absl::MutexLock lock(&mutex_);
      why = ended_;
      if (why.ok()) {
        on_end_ = std::move(end);
        return;
      }
    }
    end(why);
  }
  // Calls the handler without the lock, because it may call Leave at once.
  void End(const absl::Status& why) {
    std::function<void(const absl::Status&)> on_end;
    {
      absl::MutexLock lock(&mutex_);
      ended_ = why;
      on_end = std::exchange(on_end_, nullptr);
    }
    if (on_end) {
      on_end(why);
    }
  }
  // Cancels at `until` unless the handler leaves earlier.
  void CancelAt(Monotonic until) {
    absl::MutexLock lock(&mutex_);
    const auto has_left = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !cancel_; };
    const absl::Duration patience = until - Clock::Real().Boottime();
    if (!mutex_.AwaitWithTimeout(absl::Condition(&has_left), patience)) {
      cancel_();
    }
  }

 private:
  const std::shared_ptr<Streams> all_;
  const std::string caller_;
  mutable absl::Mutex mutex_;
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> cancel_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const absl::Status&)> on_end_ ABSL_GUARDED_BY(mutex_);
};

CallLimits::Stream::~Stream() {
  if (open_ != nullptr) {
    open_->Leave();
  }
}

absl::Status CallLimits::Stream::Goes() const {
  return open_ == nullptr ? absl::OkStatus() : open_->ended();
}

void CallLimits::Stream::OnEnd(std::function<void(const absl::Status& why)> end) {
  if (open_ != nullptr) {
    open_->OnEnd(std::move(end));
  }
}

CallLimits::CallLimits(const Most& most) : most_(most), streams_(std::make_shared<Streams>()) {}

double& CallLimits::LeftOf(const std::string& caller, const Rate& rate, Monotonic now,
                           Buckets& buckets) {
  auto found = buckets.find(caller);
  if (found == buckets.end()) {
    if (buckets.size() >= kBucketsMax) {
      const absl::Duration to_fill = absl::Seconds(rate.at_once / rate.per_second);
      std::erase_if(buckets, [&](const auto& one) {
        return one.second.left >= 0 && now - one.second.filled >= to_fill;
      });
    }
    found = buckets.emplace(caller, Bucket{rate.at_once, now}).first;
  }
  Bucket& bucket = found->second;
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - bucket.filled));
  bucket.left = std::min(rate.at_once, bucket.left + seconds * rate.per_second);
  bucket.filled = std::max(bucket.filled, now);
  return bucket.left;
}

absl::Status CallLimits::TakeCall(const std::string& caller, Monotonic now) {
  absl::MutexLock lock(&mutex_);
  double& left = LeftOf(caller, {most_.calls_per_second, most_.calls_at_once}, now, calls_);
  if (left < 1) {
    ++refused_calls_;
    return absl::ResourceExhaustedError(absl::StrCat(caller, ": more than ", most_.calls_per_second,
                                                     " calls a second, where a large message ",
                                                     "counts as several; call again later"));
  }
  left -= 1;
  return absl::OkStatus();
}

void CallLimits::NoteMessage(const std::string& caller, int64_t bytes, Monotonic now) {
  const int64_t further_calls = (bytes - 1) / kMessageBytesOfACall;
  if (further_calls > 0) {
    absl::MutexLock lock(&mutex_);
    LeftOf(caller, {most_.calls_per_second, most_.calls_at_once}, now, calls_) -=
        static_cast<double>(further_calls);
  }
}

absl::Duration CallLimits::TakeBytes(const std::string& caller, int64_t bytes, Monotonic now) {
  absl::MutexLock lock(&mutex_);
  double& left = LeftOf(caller, {most_.bytes_per_second, most_.bytes_at_once}, now, bytes_);
  left -= static_cast<double>(bytes);
  if (left >= 0) {
    return absl::ZeroDuration();
  }
  ++waits_for_bytes_;
  return absl::Seconds(-left / most_.bytes_per_second);
}

absl::StatusOr<CallLimits::Stream> CallLimits::OpenStream(const std::string& caller,
                                                          std::function<void()> cancel) {
  auto open = std::make_shared<Stream::Open>(streams_, caller, std::move(cancel));
  absl::MutexLock lock(&streams_->mutex);
  auto& all = streams_->open[caller];
  if (static_cast<int>(all.size()) >= most_.streams) {
    ++refused_streams_;
    return absl::ResourceExhaustedError(absl::StrCat(
        caller, ": ", all.size(), " streams are open, which is the most; end one first"));
  }
  all.insert(open);
  return Stream(std::move(open));
}

void CallLimits::EndStreams(const std::string& caller, const absl::Status& why,
                            absl::Duration patience) {
  std::set<std::shared_ptr<Stream::Open>> ended;
  {
    absl::MutexLock lock(&streams_->mutex);
    if (const auto all = streams_->open.find(caller); all != streams_->open.end()) {
      ended = all->second;
    }
  }
  for (const auto& open : ended) {
    open->End(why);
  }
  const Monotonic until = Clock::Real().Boottime() + patience;
  for (const auto& open : ended) {
    open->CancelAt(until);
  }
}

CallLimits::Refusals CallLimits::refusals() const {
  return {.calls = refused_calls_,
          .streams = refused_streams_,
          .waits_for_bytes = waits_for_bytes_,
          .connections = refused_connections_,
          .broken_connections = broken_connections_,
          .for_any_reason = all_refused_.total()};
}

}  // namespace wattle::callers
