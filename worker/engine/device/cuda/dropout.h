// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Dropout on the GPU, with the masks of kernels::ApplyDropout.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_DROPOUT_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_DROPOUT_H_

#include <cstdint>

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/kernels/random.h"

namespace wattle::cuda {

// rate: in [0, 1).
DropoutMask MaskOf(const kernels::RandomStream& stream, double rate);

struct Dropout {
  DropoutMask mask = {};
  int64_t first_element = 0;
  const float* in = nullptr;  // on the device; null: ones
  float* out = nullptr;       // on the device; may equal `in`
  int64_t count = 0;          // at least 1
};

absl::Status Launch(const Dropout& dropout, KernelLauncher& launcher);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_DROPOUT_H_
