// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Hellos that come while another process is connected as the device. Pure.
#include "coordinator/core/doubled.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/draft_internal.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/lineage_internal.h"

namespace wattle::core {
namespace {

constexpr char kDoubled[] = "two processes show the certificate of ";

// False without a certificate: nobody could approve of such a device.
bool NotesDoubling(Draft& draft, const WorkerHello& command) {
  const State& state = draft.state();
  const DeviceId device(command.hello.device().device_id());
  const v1::DeviceRecord* const record = FindDevice(state, device);
  const v1::IdentityRecord* const identity = FindIdentity(state, kDeviceKind, device.value());
  if (record == nullptr || identity == nullptr) {
    return false;
  }
  if (WaitsForApproval(state, device) && IsDoubledProblem(record->problem())) {
    draft.Refuse(absl::FailedPreconditionError(record->problem()));
    return true;
  }
  const std::string name = DeviceName(state, device.value());
  const std::string reason = absl::StrCat(
      name, ": ", kDoubled, device.value(), " (", command.rival,
      "): most likely an SD card was copied. Neither gets work. Delete the state directory on one "
      "of the two, then: wattle device approve ",
      name, "; or shut both out: wattle device revoke ", name);
  draft.Refuse(absl::FailedPreconditionError(reason));
  v1::DeviceDoubled& doubled = *draft.Add().mutable_device_doubled();
  doubled.set_device_id(device.value());
  doubled.set_reason(reason);
  TakeWorkBack(draft, device, "was doubled");
  return true;
}

}  // namespace

bool IsDoubledProblem(absl::string_view problem) {
  return absl::StrContains(problem, kDoubled);
}

// Nothing that such a hello tells may count, except evidence of a copied card.
void RefuseRival(Draft& draft, const WorkerHello& command) {
  const v1::Hello& hello = command.hello;
  if (command.doubled && NotesDoubling(draft, command)) {
    return;
  }
  if (!IsOfThisOpening(draft.state(), hello) || CheckIdentity(draft, hello)) {
    draft.Refuse(absl::FailedPreconditionError(absl::StrCat(
        hello.device().name(), ": two processes use the identity ", hello.device().device_id(),
        " (", command.rival,
        "): the first one stays. If it is the same board, it is let in once the old connection "
        "is silent; otherwise delete the worker's state directory on one of the two")));
  }
}

}  // namespace wattle::core
