// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compiles a GPU's kernels ahead of the first job. No libtorch.
#ifndef WATTLE_WORKER_ENGINE_COMPILED_AHEAD_H_
#define WATTLE_WORKER_ENGINE_COMPILED_AHEAD_H_

#include <string>

#include "absl/status/statusor.h"

namespace wattle::engine {

struct KernelsAhead {
  int files = 0;     // of kernels
  int compiled = 0;  // number already in the cache
  double seconds = 0.0;
};

// Compiles into `directory`, where jobs find the kernels (WATTLE_KERNEL_CACHE). Errors: those of
// CheckDevice (model_job.h); kInvalidArgument for a device without kernels; those of NVRTC, of the
// driver and of writing.
absl::StatusOr<KernelsAhead> CompileKernelsAhead(const std::string& device,
                                                 const std::string& directory);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_COMPILED_AHEAD_H_
