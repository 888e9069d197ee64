// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How long a device works on an attempt without contact to the coordinator. Pure.
#ifndef WATTLE_COORDINATOR_CORE_LEASE_H_
#define WATTLE_COORDINATOR_CORE_LEASE_H_

#include <string>

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// An attempt that is about to be placed.
struct LeaseAsk {
  const v1::JobSpec& spec;
  const v1::Prediction& prediction;
  DeviceId device;
  // No other device of the fleet could ever take the job.
  bool sole = false;
  // Until the job's deadline; infinite if it has none.
  absl::Duration to_deadline = absl::InfiniteDuration();
  // The leases of the attempts that the device begins before this one.
  double ahead_seconds = 0;
};

struct Lease {
  double seconds = 0;
  std::string why;  // One clause for people: "without contact it works for 2 h, its lease".
};

// The lease is the job's own, if the job has one. Otherwise, if no other device could take the job,
// the lease lasts to the attempt's end (at most a year, and at most to the deadline); otherwise it
// is the predicted time with slack. The device's policies may shorten it.
Lease LeaseFor(const State& state, const Observations& observations, const LeaseAsk& ask);

// After this many seconds of silence the coordinator may place the attempt's job again. An attempt
// that works to its end uses the lease it would have had otherwise, because a device that could
// take the job may have joined since.
double LeaseSecondsOf(const v1::Attempt& attempt);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_LEASE_H_
