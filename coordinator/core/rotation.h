// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The root of the fleet's authority that signed each identity's latest certificate, so that an old
// root is retired once no identity depends on it. The event loop has the keys; the core has only
// the roots' hashes. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ROTATION_H_
#define WATTLE_COORDINATOR_CORE_ROTATION_H_

#include <functional>
#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "wattle/v1/access.pb.h"

namespace wattle::core {

// Identities that are not revoked and whose latest certificate is under the root (raw SHA-256):
// "device/ID", "person/ID", in this order. root_of_certificate: finds the root of a record from an
// older version, which does not name it.
std::vector<std::string> IdentitiesUnder(
    const State& state, const std::string& root_sha256,
    const std::function<std::string(const std::string& certificate_pem)>& root_of_certificate);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ROTATION_H_
