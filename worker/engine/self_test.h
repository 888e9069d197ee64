// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whether the engine computes correctly on this device; checked before an upgrade counts as done.
// No libtorch.
#ifndef WATTLE_WORKER_ENGINE_SELF_TEST_H_
#define WATTLE_WORKER_ENGINE_SELF_TEST_H_

#include <string>

#include "absl/status/status.h"

namespace wattle::engine {

// Compares a product of each stored format and of each float precision with plain double sums, and
// makes ten steps of a tiny classifier, whose loss must fall. Takes about a second. Errors: those
// of CheckDevice (model_job.h); kInternal names the first wrong result.
absl::Status SelfTest(const std::string& device);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_SELF_TEST_H_
