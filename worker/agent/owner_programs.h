// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whether a program runs to which its owner gave the board (--exclusive).
#ifndef WATTLE_WORKER_AGENT_OWNER_PROGRAMS_H_
#define WATTLE_WORKER_AGENT_OWNER_PROGRAMS_H_

#include <string>
#include <vector>

namespace wattle::agent {

// The first of the names that a process of the machine has; "": none. A process has the name of its
// program's file without folders, and the one that the kernel shows ("comm", 15 bytes at most).
// root: "" for this machine, or the recorded file tree whose proc/ is read.
std::string RunningProgram(const std::string& root, const std::vector<std::string>& names);

// Whether the programs of other users are seen: systemd's ProtectProc= hides them from a service.
// root: as above.
bool SeesProgramsOfOthers(const std::string& root);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_OWNER_PROGRAMS_H_
