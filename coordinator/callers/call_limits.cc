// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/call_limits.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace wattle::callers {
namespace {

// Beyond this many callers those that were quiet are forgotten, whose buckets are full anyway.
constexpr size_t kBucketsMax = 20'000;

}  // namespace

absl::Status CallLimits::TakeCall(const std::string& caller, Monotonic now) {
  absl::MutexLock lock(&mutex_);
  auto found = buckets_.find(caller);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kBucketsMax) {
      ForgetQuiet(now);
    }
    found = buckets_.emplace(caller, Bucket{most_.calls_at_once, now}).first;
  }
  Bucket& bucket = found->second;
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - bucket.filled));
  bucket.calls = std::min(most_.calls_at_once, bucket.calls + seconds * most_.calls_per_second);
  bucket.filled = std::max(bucket.filled, now);
  if (bucket.calls < 1) {
    ++refused_calls_;
    return absl::ResourceExhaustedError(absl::StrCat(caller, ": more than ", most_.calls_per_second,
                                                     " calls a second; call again later"));
  }
  bucket.calls -= 1;
  return absl::OkStatus();
}

void CallLimits::ForgetQuiet(Monotonic now) {
  const double seconds_to_fill = most_.calls_at_once / most_.calls_per_second;
  for (auto bucket = buckets_.begin(); bucket != buckets_.end();) {
    const bool quiet = now - bucket->second.filled >= absl::Seconds(seconds_to_fill);
    bucket = quiet ? buckets_.erase(bucket) : std::next(bucket);
  }
}

absl::StatusOr<CallLimits::Stream> CallLimits::OpenStream(const std::string& caller) {
  {
    absl::MutexLock lock(&streams_->mutex);
    int& open = streams_->open[caller];
    if (open >= most_.streams) {
      ++refused_streams_;
      return absl::ResourceExhaustedError(
          absl::StrCat(caller, ": ", open, " streams are open, which is the most; end one first"));
    }
    ++open;
  }
  return Stream(nullptr, [streams = streams_, caller](std::nullptr_t) {
    absl::MutexLock lock(&streams->mutex);
    const auto open = streams->open.find(caller);
    if (--open->second == 0) {
      streams->open.erase(open);
    }
  });
}

CallLimits::Refusals CallLimits::refusals() const {
  return {.calls = refused_calls_,
          .streams = refused_streams_,
          .connections = refused_connections_,
          .for_any_reason = all_refused_.total()};
}

}  // namespace wattle::callers
