// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A copy of the files that sources, power modes and the board's identity are read from, so that the
// owner of a board that Wattle does not know can send them in. The copy is a --sensor-root, and a
// test fixture as it is. Serial numbers are left out.
#ifndef WATTLE_WORKER_AGENT_RECORD_SENSORS_H_
#define WATTLE_WORKER_AGENT_RECORD_SENSORS_H_

#include <string>

#include "absl/status/status.h"

namespace wattle::agent {

// Copies from the tree at root ("": this machine) into directory. What cannot be read is left out.
// Errors: kFailedPrecondition where the directory is not empty, and those of writing.
absl::Status RecordSensors(const std::string& root, const std::string& directory);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_RECORD_SENSORS_H_
