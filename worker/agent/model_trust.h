// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which models this board runs: with --signers, only those signed by one of its own signers,
// whatever the coordinator orders. Pure.
#ifndef WATTLE_WORKER_AGENT_MODEL_TRUST_H_
#define WATTLE_WORKER_AGENT_MODEL_TRUST_H_

#include "absl/status/status.h"

#include "artifacts/signers/signers.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::agent {

// Checks every model among the assignment's inputs. Errors: kPermissionDenied, with the remedy.
absl::Status CheckModels(const artifacts::Signers& signers, const v1::Assignment& assignment);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_MODEL_TRUST_H_
