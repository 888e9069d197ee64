// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// libtorch's own part for NVIDIA's GPUs. Our programs are linked with the part that every libtorch
// has, so that one binary serves all; this part is loaded where a job asks for a GPU.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_LIBTORCH_CUDA_H_
#define WATTLE_WORKER_ENGINE_DEVICE_LIBTORCH_CUDA_H_

#include <string>

#include "absl/status/status.h"

namespace wattle::engine {

// The folder of the libtorch that this process uses, "/…/torch/lib"; empty where it is not known.
[[nodiscard]] std::string FolderOfLibtorch();

// Loads the library that beside libtorch serves GPUs. OK also where there is none: then libtorch
// knows no device "cuda". kUnavailable: it is there and does not load; says why. Idempotent.
absl::Status LoadCudaOfLibtorch(const std::string& folder = FolderOfLibtorch());

// Makes the NVRTC that came with libtorch the one that is found by its name. Without effect where
// none came with it.
void PreferNvrtcOfLibtorch();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_LIBTORCH_CUDA_H_
