// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What other users and programs of the machine may learn of a process that holds secrets.
#ifndef WATTLE_BASE_PROCESS_PRIVACY_H_
#define WATTLE_BASE_PROCESS_PRIVACY_H_

#include "absl/strings/string_view.h"

namespace wattle {

// A crash writes no core file, which would have the process's keys, and hands none to a collector
// of the system.
void LeaveNoCoreFile();

// Replaces the rest of each argument that begins with `prefix`, so that the list of processes does
// not show it. Call it once the arguments are read.
void HideArguments(int argc, char** argv, absl::string_view prefix);

}  // namespace wattle

#endif  // WATTLE_BASE_PROCESS_PRIVACY_H_
