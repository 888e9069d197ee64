// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-worker probe --device cuda`: compiles the GPU's kernels before a job needs them, into a
// folder of the state that a job's sandbox may read but not write.
#ifndef WATTLE_WORKER_AGENT_PROBE_KERNELS_H_
#define WATTLE_WORKER_AGENT_PROBE_KERNELS_H_

#include <string>

#include "absl/status/statusor.h"

namespace wattle::agent {

[[nodiscard]] std::string KernelDirectory(const std::string& state_directory);
// The folder if it exists and can be read; otherwise empty.
[[nodiscard]] std::string KernelsCompiledAhead(const std::string& state_directory);

struct KernelProbe {
  std::string state_directory;
  std::string runner;
  std::string device;
};

// "compiled 17 of 17 files of kernels in 9.3 s". Errors: those of the runner, the driver and the
// disk. Jobs may run meanwhile, because kernels appear atomically.
absl::StatusOr<std::string> CompileKernels(const KernelProbe& probe);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_KERNELS_H_
