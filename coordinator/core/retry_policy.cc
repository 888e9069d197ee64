// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/retry_policy.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"

#include "coordinator/core/decision_builder_internal.h"

namespace wattle::core {
namespace {

constexpr absl::Duration kBackoffFirst = absl::Seconds(2);
constexpr absl::Duration kBackoffMax = absl::Minutes(10);
// The longest backoff after a failure of power or link, which can last for hours.
constexpr absl::Duration kBackoffMaxOutside = absl::Hours(1);
constexpr size_t kFailingDevicesMax = 3;
constexpr int kFreeFailuresMax = 10;  // of one class, in a row, without progress

// The latest ends of attempts without progress between them.
struct Streak {
  std::map<v1::FailureClass, int> failures;
  std::set<std::string> failing_devices;  // devices with failures of class device
  int ends = 0;                           // failures and stops
};

class StreakCounter {
 public:
  void Add(v1::FailureClass failure_class, bool failed, const std::string& device,
           int64_t reached_step) {
    if (reached_step > reached_step_) {
      reached_step_ = reached_step;
      streak_ = {};
    }
    ++streak_.ends;
    if (failed) {
      ++streak_.failures[failure_class];
      if (failure_class == v1::FAILURE_CLASS_DEVICE) {
        streak_.failing_devices.insert(device);
      }
    }
  }
  [[nodiscard]] const Streak& streak() const { return streak_; }

 private:
  int64_t reached_step_ = 0;
  Streak streak_;
};

StreakCounter Count(const v1::Job& job) {
  StreakCounter counter;
  for (const v1::Attempt& attempt : job.attempts()) {
    const bool failed = attempt.state() == v1::ATTEMPT_STATE_FAILED;
    if (failed || attempt.state() == v1::ATTEMPT_STATE_SUPERSEDED) {
      counter.Add(attempt.receipt().failure_class(), failed, attempt.device_id(),
                  attempt.reached_step());
    }
  }
  return counter;
}

absl::Duration Backoff(int ends, absl::Duration max) {
  const int doublings = std::clamp(ends - 1, 0, 15);
  return std::min(max, kBackoffFirst * static_cast<double>(int64_t{1} << doublings));
}

int JobFailures(const v1::Job& job) {
  return static_cast<int>(
      std::count_if(job.attempts().begin(), job.attempts().end(), [](const v1::Attempt& attempt) {
        return attempt.state() == v1::ATTEMPT_STATE_FAILED &&
               attempt.receipt().failure_class() == v1::FAILURE_CLASS_JOB;
      }));
}

}  // namespace

Retry RetryAfterFailure(const v1::Job& job, const AttemptFailure& failure) {
  StreakCounter counter = Count(job);
  counter.Add(failure.failure_class, true, failure.device_id, failure.reached_step);
  const Streak& streak = counter.streak();
  const int alike = streak.failures.at(failure.failure_class);
  switch (failure.failure_class) {
    case v1::FAILURE_CLASS_JOB:
      return JobFailures(job) < job.spec().retries()
                 ? Retry{true, Backoff(streak.ends, kBackoffMax), ""}
                 : Retry{};
    case v1::FAILURE_CLASS_DEVICE:
      if (streak.failing_devices.size() >= kFailingDevicesMax) {
        return {false,
                {},
                absl::StrCat("failed on ", streak.failing_devices.size(), " different devices")};
      }
      break;
    case v1::FAILURE_CLASS_LINK:
    case v1::FAILURE_CLASS_POWER:
      break;
    default:
      return {};
  }
  if (alike >= kFreeFailuresMax) {
    return {false, {}, absl::StrCat("failed ", alike, " times in a row without progress")};
  }
  const bool outside = failure.failure_class != v1::FAILURE_CLASS_DEVICE;
  return {true, Backoff(streak.ends, outside ? kBackoffMaxOutside : kBackoffMax), ""};
}

int AttemptsMax(const v1::Job& job) {
  if (IsTerminal(job.state())) {
    return job.attempts_size();
  }
  const int to_come = LiveAttempt(job) == nullptr ? 1 : 0;
  return job.attempts_size() + to_come + std::max(0, job.spec().retries() - JobFailures(job));
}

absl::Duration BackoffAfterStop(const v1::Job& job, const AttemptFailure& stop) {
  StreakCounter counter = Count(job);
  counter.Add(v1::FAILURE_CLASS_UNSPECIFIED, false, stop.device_id, stop.reached_step);
  return Backoff(counter.streak().ends, kBackoffMax);
}

}  // namespace wattle::core
