// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The system calls of a runner as a BPF program for seccomp. libseccomp writes the program for the
// present processor, so calls are named here, never numbered. Thread-safe.
#ifndef WATTLE_WORKER_SANDBOX_SYSTEM_CALLS_H_
#define WATTLE_WORKER_SANDBOX_SYSTEM_CALLS_H_

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace wattle::sandbox {

using Filter = std::vector<sock_filter>;

// Calls that jobs need are allowed; every other call waits for the agent (SECCOMP_RET_USER_NOTIF),
// which names it and kills the runner. With `cuda` the calls of NVIDIA's driver are allowed too,
// and some that it can do without get an answer without being carried out.
//
// execve is allowed with only one pointer, `program`: the address of the path that the agent's
// child passes, which the runner does not know. kill and tgkill are allowed for the process itself,
// whose id SetOwnProcess sets. Errors: kInternal if libseccomp refuses a rule.
absl::StatusOr<Filter> MakeFilter(bool cuda, const char* program);

// Between fork and exec: both only write into the program. Call SetOwnProcess once.
void SetOwnProcess(absl::Span<sock_filter> filter, pid_t process);
// For kernels before 5.0, which cannot notify the agent: a refused call kills the runner (SIGSYS),
// without its name.
void KillInsteadOfTelling(absl::Span<sock_filter> filter);

// "socket"; "number 41" if libseccomp does not know the call.
std::string SystemCallName(uint32_t architecture, int number);

}  // namespace wattle::sandbox

#endif  // WATTLE_WORKER_SANDBOX_SYSTEM_CALLS_H_
