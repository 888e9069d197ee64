// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The system calls of a runner as a BPF program for seccomp. libseccomp writes the program for the
// processor that it runs on, so calls are named and never numbered here. Thread-safe.
#ifndef WATTLE_WORKER_BOX_SYSTEM_CALLS_H_
#define WATTLE_WORKER_BOX_SYSTEM_CALLS_H_

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace wattle::box {

using Filter = std::vector<sock_filter>;

// What jobs need is allowed; every other call waits for the agent (SECCOMP_RET_USER_NOTIF), which
// names it and kills the runner. With `cuda` also what NVIDIA's driver needs, and some calls that
// it makes and lives without are answered and not carried out.
//
// execve is allowed with one pointer alone, `program`: the address of the path that the agent's
// child passes. It is an address in the agent's memory, which the runner does not know. kill and
// tgkill are allowed to the process itself, whose id is set by SetOwnProcess.
// Errors: kInternal, where libseccomp refuses a rule.
absl::StatusOr<Filter> MakeFilter(bool cuda, const char* program);

// Between fork and exec: these only write into the program. SetOwnProcess wants to be called once.
void SetOwnProcess(absl::Span<sock_filter> filter, pid_t process);
// For kernels before 5.0, which cannot tell the agent: a refused call kills (SIGSYS), unnamed.
void KillInsteadOfTelling(absl::Span<sock_filter> filter);

// "socket"; "number 41" where libseccomp does not know the call.
std::string SystemCallName(uint32_t architecture, int number);

}  // namespace wattle::box

#endif  // WATTLE_WORKER_BOX_SYSTEM_CALLS_H_
