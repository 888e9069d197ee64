// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The load of the board's processors by the worker and by others, from the kernel's counters
// (proc(5)).
#ifndef WATTLE_WORKER_AGENT_BOARD_LOAD_H_
#define WATTLE_WORKER_AGENT_BOARD_LOAD_H_

#include <sys/types.h>

#include <string>

#include "worker/agent/core/contention.h"

namespace wattle::agent {

// worker: the process whose time, with that of all its descendants, is the load's `own`. root: ""
// for this machine, or a recorded file tree whose proc/ is read. cores is 0 if /proc/stat cannot be
// read. Reads a file for each process of the machine: about 3 ms on a Pi.
BoardLoad ReadBoardLoad(const std::string& root, pid_t worker);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_BOARD_LOAD_H_
