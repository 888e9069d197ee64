// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/lease.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/transfer_rate.h"
#include "units/format.h"

namespace wattle::core {
namespace {

// The default lease: the upper quantile of the prediction, half of that again, and a minute for
// delays that no prediction covers (a reboot, a slow link).
constexpr double kLeaseSlackFactor = 1.5;
constexpr double kLeaseSlackSeconds = 60.0;
constexpr double kLeaseSecondsUnpredicted = 24.0 * 3600;
// The longest default lease. A longer one would let a lost device hold its job for good.
constexpr double kLeaseSecondsMax = 14 * 24.0 * 3600;
// A lease to the attempt's end: longer than a policy's offline_seconds may be.
constexpr double kToItsEndSeconds = 367 * 24.0 * 3600;

// slow_link_seconds: possible extra time of the transfers.
double PredictedLease(const v1::Prediction& prediction, double slow_link_seconds) {
  if (prediction.run_seconds().high() <= 0.0) {
    return kLeaseSecondsUnpredicted;
  }
  const double scale = prediction.time_scale() > 0.0 ? prediction.time_scale() : 1.0;
  const double device_seconds =
      scheduler::TotalSeconds(prediction, prediction.run_seconds().high()) +
      prediction.rest_seconds() + slow_link_seconds;
  const double lease = device_seconds * scale * kLeaseSlackFactor + kLeaseSlackSeconds;
  return std::isfinite(lease) ? std::min(lease, kLeaseSecondsMax) : kLeaseSecondsUnpredicted;
}

double SlowLinkOf(const Observations& observations, const LeaseAsk& ask) {
  const auto seen = observations.devices.find(ask.device);
  return seen == observations.devices.end()
             ? 0.0
             : scheduler::SlowLinkSeconds(seen->second.heartbeat.link(), ask.prediction);
}

}  // namespace

Lease LeaseFor(const State& state, const Observations& observations, const LeaseAsk& ask) {
  Lease lease;
  const double predicted =
      PredictedLease(ask.prediction, SlowLinkOf(observations, ask)) + ask.ahead_seconds;
  const bool to_its_end = ask.sole && ask.spec.lease_seconds() <= 0.0;
  if (ask.spec.lease_seconds() > 0.0) {
    lease.seconds = ask.spec.lease_seconds();
  } else if (to_its_end) {
    lease.seconds =
        std::min(std::max(absl::ToDoubleSeconds(ask.to_deadline), predicted), kToItsEndSeconds);
  } else {
    lease.seconds = predicted;
  }
  std::string policy_name;
  for (const auto& [name, policy] : state.policies) {
    const v1::DeviceRecord* const record = FindDevice(state, ask.device);
    if (policy.has_offline_seconds() && record != nullptr &&
        policy.offline_seconds() < lease.seconds && scheduler::Selects(policy, record->info())) {
      lease.seconds = policy.offline_seconds();
      policy_name = name;
    }
  }
  lease.why =
      to_its_end && lease.seconds >= kToItsEndSeconds
          ? "without contact it works to its end, because no other device could take it"
          : absl::StrCat("without contact it works for ",
                         FormatElapsed(absl::Seconds(std::round(lease.seconds))),
                         policy_name.empty() ? ", its lease"
                                             : absl::StrCat(", as policy ", policy_name, " says"));
  return lease;
}

double LeaseSecondsOf(const v1::Attempt& attempt) {
  return attempt.lease_seconds() < kToItsEndSeconds
             ? attempt.lease_seconds()
             : PredictedLease(attempt.prediction(), /*slow_link_seconds=*/0);
}

}  // namespace wattle::core
