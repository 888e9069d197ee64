// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What becomes of a job after an attempt failed: by class of failure, and by how often that
// happened without progress between. Progress is a checkpoint with more steps than any before.
//   spec, data    never again: another run would fail alike
//   job           as often as the spec's `retries` says
//   device        free, elsewhere: three different devices in a row make it the job's fault
//   link, power   free: they say nothing of the job
// Pure.
#ifndef WATTLE_COORDINATOR_CORE_RETRY_POLICY_H_
#define WATTLE_COORDINATOR_CORE_RETRY_POLICY_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

#include "wattle/v1/job.pb.h"

namespace wattle::core {

// How an attempt ended, beside what the job's record says of the earlier ones.
struct AttemptFailure {
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string device_id;
  int64_t reached_step = 0;  // newest checkpoint; 0: none
};

struct Retry {
  bool again = false;
  absl::Duration backoff;  // with again
  std::string why;         // without again: "failed on 3 different devices"; may be empty
};

Retry RetryAfterFailure(const v1::Job& job, const AttemptFailure& failure);
// How many attempts the job can have at most, those so far and those that its own failures leave
// it. Failures of devices, links and power are free: they raise the number when they happen.
int AttemptsMax(const v1::Job& job);
// Before the job is placed again after its device stopped it unasked.
absl::Duration BackoffAfterStop(const v1::Job& job, const AttemptFailure& stop);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_RETRY_POLICY_H_
