// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-worker probe --device cuda`: the GPU's kernels, compiled before a job wants them. They
// lie in a folder of the state, which a job's sandbox may read and not write.
#ifndef WATTLE_WORKER_AGENT_PROBE_KERNELS_H_
#define WATTLE_WORKER_AGENT_PROBE_KERNELS_H_

#include <string>

#include "absl/status/statusor.h"

namespace wattle::agent {

[[nodiscard]] std::string KernelDirectory(const std::string& state_directory);
// The same where there is one that can be read; else empty.
[[nodiscard]] std::string KernelsCompiledAhead(const std::string& state_directory);

struct KernelProbe {
  std::string state_directory;
  std::string runner;
  std::string device;
};

// "compiled 17 of 17 files of kernels in 9.3 s". Errors: those of the runner, of the driver and of
// the disk. Jobs may run meanwhile: a kernel appears whole.
absl::StatusOr<std::string> CompileKernels(const KernelProbe& probe);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_KERNELS_H_
