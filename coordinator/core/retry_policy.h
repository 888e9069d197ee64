// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Decides whether a job runs again after a failed attempt: by class of failure, and by the number
// of such failures without progress between them. Progress is a checkpoint at a later step than any
// checkpoint before.
//   spec, data    never again: another run would fail in the same way
//   job           as often as the spec's `retries` allows
//   device        free, on another device; failures on three devices in a row end the job
//   link, power   free: such a failure is not caused by the job
// Ten free failures in a row of one class end the job. Pure.
#ifndef WATTLE_COORDINATOR_CORE_RETRY_POLICY_H_
#define WATTLE_COORDINATOR_CORE_RETRY_POLICY_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

#include "wattle/v1/job.pb.h"

namespace wattle::core {

// How an attempt ended. The job's record has the earlier attempts.
struct AttemptFailure {
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string device_id;
  int64_t reached_step = 0;  // step of the newest checkpoint; 0: none
};

struct Retry {
  bool again = false;
  absl::Duration backoff;  // with again
  std::string why;         // without again: "failed on 3 different devices"; may be empty
};

Retry RetryAfterFailure(const v1::Job& job, const AttemptFailure& failure);
// Largest number of attempts that the job can have: those so far, and those that its own failures
// still leave. Failures of devices, links and power are free and raise the number when they happen.
int AttemptsMax(const v1::Job& job);
// Wait of the job after its device stopped the attempt unasked.
absl::Duration BackoffAfterStop(const v1::Job& job, const AttemptFailure& stop);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_RETRY_POLICY_H_
