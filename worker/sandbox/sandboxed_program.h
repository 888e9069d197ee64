// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Starts a program with three pipes, in a sandbox: a runner of the agent, or a reader of foreign
// files for the coordinator. The child dies with the thread that started it (PR_SET_PDEATHSIG), so
// start it from a thread that lives as long as its process.
#ifndef WATTLE_WORKER_SANDBOX_SANDBOXED_PROGRAM_H_
#define WATTLE_WORKER_SANDBOX_SANDBOXED_PROGRAM_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "base/unique_descriptor.h"
#include "worker/sandbox/sandbox.h"

namespace wattle::sandbox {

// Exit code of a child whose program could not be executed.
inline constexpr int kExecFailed = 127;

struct Program {
  std::string path;
  std::vector<std::string> arguments;    // with the program's name first
  std::vector<std::string> environment;  // "NAME=value"
  int nice = 0;                          // added to this process's own
  int group = -1;                        // the list of processes of its control group; -1: this
                                         // process's group
};

// Our ends of the child's streams, closed with the object.
struct SandboxedProgram {
  pid_t pid = -1;           // for the caller to wait for
  UniqueDescriptor input;   // the child's standard input; writing to it does not block
  UniqueDescriptor output;  // its standard output
  UniqueDescriptor error;   // its standard error
  Refusals refusals;        // calls that its sandbox refuses
};

// Returns once the child is in the sandbox. sandbox: prepared for this program and this start;
// null: none. Errors: kResourceExhausted (no process, no pipe), those of AwaitEntry.
absl::StatusOr<SandboxedProgram> StartSandboxed(const Program& program, Sandbox* sandbox);

}  // namespace wattle::sandbox

#endif  // WATTLE_WORKER_SANDBOX_SANDBOXED_PROGRAM_H_
