// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-worker probe`: prints the sensors of this board as a table or as JSON, and records a
// board's files.
#ifndef WATTLE_WORKER_AGENT_PROBE_COMMAND_H_
#define WATTLE_WORKER_AGENT_PROBE_COMMAND_H_

namespace wattle::agent {

// Runs the command; argv[0] is `probe`. Returns the exit status: 0 (also without any sensor), 1
// (the recording failed), 2 (wrong flags or settings).
int RunProbe(int argc, char** argv);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_COMMAND_H_
