// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/probe_kernels.h"

#include <unistd.h>

#include "absl/time/time.h"

#include "base/status_macros.h"
#include "base/tls/private_file.h"
#include "worker/agent/storage/posix_disk.h"
#include "worker/child/runner_process.h"
#include "worker/sandbox/isolation.h"
#include "worker/sandbox/sandbox.h"

namespace wattle::agent {
namespace {

// NVRTC takes two seconds for the slowest file on a fast processor, and a board has a slow one.
constexpr absl::Duration kRunnerCompiles = absl::Minutes(15);

}  // namespace

std::string KernelDirectory(const std::string& state_directory) {
  return state_directory + "/kernels";
}

std::string KernelsCompiledAhead(const std::string& state_directory) {
  const std::string directory = KernelDirectory(state_directory);
  return access(directory.c_str(), R_OK | X_OK) == 0 ? directory : "";
}

absl::StatusOr<std::string> CompileKernels(const KernelProbe& probe) {
  WATTLE_RETURN_IF_ERROR(MakeStateFolder(probe.state_directory));
  const std::string directory = KernelDirectory(probe.state_directory);
  WATTLE_RETURN_IF_ERROR(tls::MakePrivateDirectory(directory));
  WATTLE_RETURN_IF_ERROR(child::CheckRunnerProgram(probe.runner));
  WATTLE_ASSIGN_OR_RETURN(
      sandbox::Sandbox sandbox,
      sandbox::Sandbox::Prepare({.level = sandbox::DetectIsolation(sandbox::Level::kFull).level,
                                 .program = probe.runner,
                                 .writable = {directory},
                                 .cuda = true}));
  return child::CompileRunnerKernels(
      {.program = probe.runner, .sandbox = &sandbox, .kernels = directory}, probe.device,
      kRunnerCompiles);
}

}  // namespace wattle::agent
