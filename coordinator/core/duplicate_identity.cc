// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/duplicate_identity.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/lineage_internal.h"

namespace wattle::core {
namespace {

// One message may be a remainder of a dead process.
constexpr int kMessagesOfALife = 2;
constexpr char kDoubled[] = "two processes show the certificate of ";

// False without a certificate: no operator could approve such a device.
bool NotesDoubling(DecisionBuilder& builder, const WorkerHello& command) {
  const State& state = builder.state();
  const DeviceId device(command.hello.device().device_id());
  const v1::DeviceRecord* const record = FindDevice(state, device);
  const v1::IdentityRecord* const identity = FindIdentity(state, kDeviceKind, device.value());
  if (record == nullptr || identity == nullptr) {
    return false;
  }
  if (WaitsForApproval(state, device) && IsDuplicateIdentityProblem(record->problem())) {
    builder.Refuse(absl::FailedPreconditionError(record->problem()));
    return true;
  }
  const std::string name = DeviceName(state, device.value());
  const std::string reason = absl::StrCat(
      name, ": ", kDoubled, device.value(), " (", command.rival,
      "): most likely an SD card was copied. Neither gets work. Delete the state directory on one "
      "of the two, then: wattle device approve ",
      name, "; or shut both out: wattle device revoke ", name);
  builder.Refuse(absl::FailedPreconditionError(reason));
  v1::DeviceDoubled& doubled = *builder.Add().mutable_device_doubled();
  doubled.set_device_id(device.value());
  doubled.set_reason(reason);
  TakeWorkBack(builder, device, "was doubled");
  return true;
}

}  // namespace

void DuplicateIdentityDetector::OnMessage(Monotonic now) {
  for (auto& [process_id, rival] : rivals_) {
    if (now - rival.latest >= apart_) {
      rival.latest = now;
      ++rival.messages;
    }
  }
}

bool DuplicateIdentityDetector::IsDuplicate(const std::string& process_id, Monotonic now) {
  const auto known = rivals_.find(process_id);
  if (known != rivals_.end()) {
    return known->second.messages >= kMessagesOfALife;
  }
  if (rivals_.size() >= kRivalsMax) {
    rivals_.erase(std::min_element(
        rivals_.begin(), rivals_.end(),
        [](const auto& a, const auto& b) { return a.second.latest < b.second.latest; }));
  }
  rivals_.emplace(process_id, Rival{.latest = now});
  return false;
}

bool IsDuplicateIdentityProblem(absl::string_view problem) {
  return absl::StrContains(problem, kDoubled);
}

// Nothing in such a hello may count, except evidence of a copied card.
void RefuseRival(DecisionBuilder& builder, const WorkerHello& command) {
  const v1::Hello& hello = command.hello;
  if (command.doubled && NotesDoubling(builder, command)) {
    return;
  }
  if (!IsOfThisOpening(builder.state(), hello) || CheckIdentity(builder, hello)) {
    builder.Refuse(absl::FailedPreconditionError(absl::StrCat(
        hello.device().name(), ": two processes use the identity ", hello.device().device_id(),
        " (", command.rival,
        "): the first one stays. If it is the same board, it is let in once the old connection "
        "is silent; otherwise delete the worker's state directory on one of the two")));
  }
}

}  // namespace wattle::core
