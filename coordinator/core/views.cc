// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Readers' views: what is durable with what was observed beside it. Pure.
#include <utility>

#include "base/check.h"
#include "coordinator/core/state.h"

namespace wattle::core {

v1::Device DeviceView(const State& state, const Observations& observations, const DeviceId& device,
                      absl::Time now) {
  const v1::DeviceRecord* record = FindDevice(state, device);
  WATTLE_CHECK(record != nullptr, "views are made of records that exist");
  v1::Device view;
  *view.mutable_info() = record->info();
  view.set_drained(record->drained());
  view.set_drain_reason(record->drain_reason());
  view.set_first_seen_unix_seconds(record->first_seen_unix_seconds());
  view.set_last_seen_unix_seconds(record->registered_unix_seconds());
  view.set_incarnation(record->incarnation());
  *view.mutable_ledger() = record->ledger();
  const auto seen = observations.devices.find(device);
  if (seen != observations.devices.end()) {
    view.set_connected(seen->second.connected);
    *view.mutable_heartbeat() = seen->second.heartbeat;
    if (seen->second.last_seen > absl::InfinitePast()) {
      view.set_last_seen_unix_seconds(
          absl::ToDoubleSeconds(seen->second.last_seen - absl::UnixEpoch()));
    }
    if (view.heartbeat().idle_power_watts() > 0.0) {
      view.mutable_info()->set_idle_power_watts(view.heartbeat().idle_power_watts());
    }
  }
  view.set_unreachable(!IsReachable(observations, device, now));
  const auto wanted = state.wanted_attempt.find(device);
  if (wanted != state.wanted_attempt.end()) {
    view.set_running_attempt_id(wanted->second.value());
  }
  return view;
}

v1::Job JobView(const State& state, const Observations& observations, const JobId& job,
                absl::Time now) {
  const v1::JobRecord* record = FindJob(state, job);
  WATTLE_CHECK(record != nullptr, "views are made of records that exist");
  v1::Job view = record->job();
  for (v1::Attempt& attempt : *view.mutable_attempts()) {
    attempt.set_unreachable(!IsTerminal(attempt.state()) &&
                            !IsReachable(observations, DeviceId(attempt.device_id()), now));
  }
  return view;
}

}  // namespace wattle::core
