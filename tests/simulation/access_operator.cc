// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/access_operator.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "coordinator/core/command.h"
#include "coordinator/core/core.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/state.h"

namespace wattle::sim {
namespace {

// The coordinator may stop before it answers.
constexpr double kLookAgainSeconds = 5.0;

}  // namespace

bool LettingIn::IsKnown(const DeviceId& device) const {
  return parts_.coordinator.alive() && !parts_.coordinator.stands_still() &&
         core::FindDevice(parts_.coordinator.durable(), device) != nullptr;
}

bool LettingIn::Revoke(Worker& worker) {
  const DeviceId device(worker.device_id());
  if (!IsKnown(device)) {
    return false;
  }
  revoking_.insert(device);
  parts_.coordinator.Post(RevocationOf(device, "stolen"),
                          [this, device, &worker](const event_loop::Answer& answer) {
                            revoking_.erase(device);
                            if (answer.status.ok()) {
                              parts_.network.Break(worker.stream());
                            }
                          });
  return true;
}

bool LettingIn::EnrolToWait(const Worker& worker) {
  const DeviceId device(worker.device_id());
  if (!IsKnown(device) || core::IsRevoked(parts_.coordinator.durable(), device)) {
    return false;
  }
  parts_.certificates.Enrol(device, /*approve=*/true);
  return true;
}

bool LettingIn::Double(const Worker& worker) {
  const DeviceId device(worker.device_id());
  if (!IsKnown(device) || !core::MayWork(parts_.coordinator.durable(), device)) {
    return false;
  }
  const core::State& state = parts_.coordinator.durable();
  if (core::FindIdentity(state, core::kDeviceKind, device.value()) == nullptr) {
    parts_.certificates.Enrol(device, /*approve=*/false);
    return false;
  }
  core::WorkerHello copy;
  *copy.hello.mutable_device() = core::FindDevice(state, device)->info();
  copy.hello.set_incarnation(core::FindDevice(state, device)->incarnation());
  copy.hello.set_lineage_id(state.lineage_id);
  copy.hello.set_protocol_min(core::kProtocolMin);
  copy.hello.set_protocol_max(core::kProtocol);
  copy.rival = "a worker is connected with it, and another one says hello with it too";
  copy.doubled = true;
  parts_.coordinator.Post(std::move(copy), nullptr);
  return true;
}

void LettingIn::AskAgain() {
  for (const DeviceId& device : let_in_) {
    LetIn(device);
  }
}

void LettingIn::LetIn(const DeviceId& device) {
  let_in_.insert(device);
  const core::State& state = parts_.coordinator.durable();
  const bool may_work = IsKnown(device) && core::MayWork(state, device);
  if (may_work && revoking_.count(device) == 0) {
    return;
  }
  if (IsKnown(device) && !may_work) {
    if (core::IsRevoked(state, device)) {
      parts_.certificates.Enrol(device, /*approve=*/false);
    } else {
      parts_.coordinator.Post(core::ApproveDevice{device, "otto"}, nullptr);
    }
  }
  parts_.loop.After(kLookAgainSeconds, [this, device] { LetIn(device); });
}

}  // namespace wattle::sim
