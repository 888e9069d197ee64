// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The commands of wattle-worker for a person at the board. Without a command the program is the
// agent.
#ifndef WATTLE_WORKER_AGENT_COMMANDS_H_
#define WATTLE_WORKER_AGENT_COMMANDS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace wattle::agent {

// `probe`: prints the sensors of this board as a table or as JSON, and records a board's files.
// With --rates it measures the processor instead. argv[0] is the word. Returns the exit status: 0
// (also without any sensor), 1 (the recording or the measurement failed), 2 (wrong flags or
// settings).
int RunProbe(int argc, char** argv);

// `enroll TOKEN`: makes this board's key and exchanges the token for a certificate. argv[0] is the
// word. Returns the exit status: 0, 1 (refused, or no coordinator answers), 2 (wrong flags or
// token).
int RunEnroll(int argc, char** argv);

// The socket for a person at the board (base/line_socket.h): in the state folder, for the worker's
// user and group, so that the board can be held without a link.
inline constexpr char kOwnerSocket[] = "owner.sock";

// `hold --for 1h`, `release` and `status` are sent to the worker that runs on the board.
[[nodiscard]] bool IsOwnerCommand(absl::string_view word);
// The folder of the worker that receives the command if none is named: the user's own worker, or
// else the service.
std::string FolderAtBoard(const std::string& own, const std::string& of_service);
// Runs one of these commands; argv[0] is its name. Returns the exit status: 0, 1 (no worker
// answers, or its disk refuses the record), 2 (wrong flags).
int RunOwnerCommand(int argc, char** argv);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_COMMANDS_H_
