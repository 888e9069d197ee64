// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle profile run: measures a workload on one device, in its modes and several batches, as a job
// of the kind profile.
#ifndef WATTLE_CLI_PROFILE_RUN_H_
#define WATTLE_CLI_PROFILE_RUN_H_

#include "cli/session.h"

namespace wattle::cli {

// noun: wattle profile.
void AddProfileRun(CLI::App* noun, CommandSlot* slot);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PROFILE_RUN_H_
