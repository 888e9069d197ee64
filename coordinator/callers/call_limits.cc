// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/call_limits.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

namespace wattle::callers {
namespace {

// Beyond this many callers those that were quiet are forgotten, whose buckets are full anyway.
constexpr size_t kBucketsMax = 20'000;

}  // namespace

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
          .waits_for_bytes = waits_for_bytes_,
          .connections = refused_connections_,
          .for_any_reason = all_refused_.total()};
}

}  // namespace wattle::callers
