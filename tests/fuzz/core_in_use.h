// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A coordinator's core with a working board, which decides on commands from outside.
#ifndef WATTLE_TESTS_FUZZ_CORE_IN_USE_H_
#define WATTLE_TESTS_FUZZ_CORE_IN_USE_H_

#include <vector>

#include "absl/status/status.h"

#include "coordinator/core/command.h"

namespace wattle::fuzz {

// Applies the commands one after the other; the first refusal ends the run. Ends the process if an
// event leaves a state that its snapshot does not restore.
absl::Status DecideInUse(const std::vector<core::Command>& commands);

}  // namespace wattle::fuzz

#endif  // WATTLE_TESTS_FUZZ_CORE_IN_USE_H_
