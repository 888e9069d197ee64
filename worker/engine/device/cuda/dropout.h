// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What dropout multiplies with, drawn on the GPU: the bits of kernels::ApplyDropout.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_DROPOUT_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_DROPOUT_H_

#include <cstdint>

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/kernels/random.h"

namespace wattle::cuda {

struct DropoutFactors {
  kernels::RandomStream stream;
  double rate = 0.0;
  int64_t first_element = 0;
  float* out = nullptr;  // of the device
  int64_t count = 0;     // 1 at least
};

absl::Status Launch(const DropoutFactors& factors, KernelLauncher& launcher);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_DROPOUT_H_
