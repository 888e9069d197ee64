// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Copies the files that sources, power modes and the board's identity are read from, so that the
// owner of an unknown board can send them in. The copy works as --sensor-root and as a test
// fixture. Serial numbers are left out.
#ifndef WATTLE_WORKER_AGENT_RECORD_SENSORS_H_
#define WATTLE_WORKER_AGENT_RECORD_SENSORS_H_

#include <string>

#include "absl/status/status.h"

namespace wattle::agent {

// Copies from the tree at root ("": this machine) into directory. Unreadable files are left out.
// Errors: kFailedPrecondition if the directory is not empty; those of writing.
absl::Status RecordSensors(const std::string& root, const std::string& directory);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_RECORD_SENSORS_H_
