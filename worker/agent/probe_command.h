// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-worker probe`: what this board can measure, as a table or as JSON, and the recording of a
// board.
#ifndef WATTLE_WORKER_AGENT_PROBE_COMMAND_H_
#define WATTLE_WORKER_AGENT_PROBE_COMMAND_H_

namespace wattle::agent {

// argv[0] is the word `probe`. Prints; returns the exit status: 0 (also where no sensor is found),
// 1 (the recording failed), 2 (wrong flags or settings).
int RunProbe(int argc, char** argv);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_COMMAND_H_
