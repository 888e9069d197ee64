// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Detects programs to which the owner gave the board (--exclusive).
#ifndef WATTLE_WORKER_AGENT_OWNER_PROGRAMS_H_
#define WATTLE_WORKER_AGENT_OWNER_PROGRAMS_H_

#include <string>
#include <vector>

namespace wattle::agent {

// Returns the first of the names that a process of the machine has; "": none. A process is named by
// its program's file without folders, and by the name that the kernel shows ("comm", at most 15
// bytes). root: "" for this machine, or a recorded file tree whose proc/ is read.
std::string RunningProgram(const std::string& root, const std::vector<std::string>& names);

// Whether programs of other users are visible: systemd's ProtectProc= hides them from a service.
// root: see RunningProgram.
bool SeesProgramsOfOthers(const std::string& root);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_OWNER_PROGRAMS_H_
