// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Under which root of the fleet's authority each identity's latest certificate is, so that an old
// root is retired once nobody is left under it. The keys are the event loop's; the core has the
// roots' hashes. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ROTATION_H_
#define WATTLE_COORDINATOR_CORE_ROTATION_H_

#include <functional>
#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "wattle/v1/access.pb.h"

namespace wattle::core {

// Those who are not revoked and whose latest certificate is under the root (raw SHA-256):
// "device/ID", "person/ID", in this order. root_of_certificate: the root of a record that an older
// version made without a note of it.
std::vector<std::string> IdentitiesUnder(
    const State& state, const std::string& root_sha256,
    const std::function<std::string(const std::string& certificate_pem)>& root_of_certificate);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ROTATION_H_
