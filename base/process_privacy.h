// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Limits what other users and programs of the machine can read of a process that holds secrets.
#ifndef WATTLE_BASE_PROCESS_PRIVACY_H_
#define WATTLE_BASE_PROCESS_PRIVACY_H_

#include "absl/strings/string_view.h"

namespace wattle {

// Prevents core files, which would contain the process's keys, on disk and to a collector of the
// system.
void LeaveNoCoreFile();

// Replaces the rest of each argument that begins with `prefix`, so that the list of processes does
// not show it. Call it once the arguments are read.
void HideArguments(int argc, char** argv, absl::string_view prefix);

}  // namespace wattle

#endif  // WATTLE_BASE_PROCESS_PRIVACY_H_
