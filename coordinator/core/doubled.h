// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A device whose certificate two processes show at the same time, as after its card was copied. It
// waits for an operator's approval, as boards do that enrolled by a token of --approve. Pure.
#ifndef WATTLE_COORDINATOR_CORE_DOUBLED_H_
#define WATTLE_COORDINATOR_CORE_DOUBLED_H_

#include "absl/strings/string_view.h"

namespace wattle::core {

// Whether a device's problem says that it is doubled. It goes with the approval, or with a new key.
bool IsDoubledProblem(absl::string_view problem);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DOUBLED_H_
