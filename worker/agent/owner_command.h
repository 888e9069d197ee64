// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-worker hold --for 1h`, `release` and `status`: the person at the board asks the worker
// that runs there (owner_socket.h).
#ifndef WATTLE_WORKER_AGENT_OWNER_COMMAND_H_
#define WATTLE_WORKER_AGENT_OWNER_COMMAND_H_

#include "absl/strings/string_view.h"

namespace wattle::agent {

[[nodiscard]] bool IsOwnerCommand(absl::string_view word);

// Runs the command; argv[0] is its word. Returns the exit status: 0, 1 (no worker answers, or its
// disk refuses the record), 2 (wrong flags).
int RunOwnerCommand(int argc, char** argv);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_OWNER_COMMAND_H_
