// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// libtorch's part for NVIDIA's GPUs. Our programs link only the part that every libtorch has, so
// that one binary serves all; this part is loaded when a job requests a GPU.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_LIBTORCH_CUDA_H_
#define WATTLE_WORKER_ENGINE_DEVICE_LIBTORCH_CUDA_H_

#include <string>

#include "absl/status/status.h"

namespace wattle::engine {

// The folder of this process's libtorch, "/…/torch/lib"; empty if unknown.
[[nodiscard]] std::string FolderOfLibtorch();

// Loads libtorch's library for GPUs. OK even if there is none: libtorch then has no device "cuda".
// kUnavailable: the library exists and does not load, with the reason. Idempotent.
absl::Status LoadCudaOfLibtorch(const std::string& folder = FolderOfLibtorch());

// Makes the NVRTC that came with libtorch the one found by name. Does nothing if none came with it.
void PreferNvrtcOfLibtorch();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_LIBTORCH_CUDA_H_
