// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/core.h"
#include "proto/heartbeat_changes.h"
#include "tests/fuzz/core_in_use.h"
#include "tests/fuzz/fuzz_target.h"
#include "wattle/v1/fleet.pb.h"

// One message of a board, as received.
WATTLE_FUZZ_TARGET(worker_message, bytes) {
  v1::WorkerMessage message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("no message");
  }
  if (message.has_report()) {
    return DecideInUse({core::WorkerReport{DeviceId("device-1"), 1, message.report()}});
  }
  if (message.has_heartbeat_changes()) {
    v1::Heartbeat heartbeat;
    ApplyChanges(message.heartbeat_changes(), heartbeat);
  }
  const absl::Status valid = core::ValidateHello(message.hello());
  return valid.ok() ? DecideInUse({core::WorkerHello{message.hello()}}) : valid;
}
