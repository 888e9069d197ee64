// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The capabilities of an NVIDIA GPU. libtorch computes BF16 products on every GPU, but those before
// Ampere have no instructions for them. Also the GPU's memory size, and whether it is the host's
// memory. The driver is queried directly (dlopen), so that the build needs nothing of CUDA.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_CAPABILITY_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_CAPABILITY_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include <c10/core/Device.h>

#include "worker/engine/kernels/float_matmul.h"

namespace wattle::engine {

struct ComputeCapability {
  int major = 0;
  int minor = 0;
};

// For a CUDA device, by the driver's library; nullopt for another device, or if the driver does not
// answer.
[[nodiscard]] std::optional<ComputeCapability> CapabilityOf(at::Device device,
                                                            const char* driver = "libcuda.so.1");

// Whether the GPU's memory is the host's, as on a board. False for another device, or if the driver
// does not answer.
[[nodiscard]] bool SharesHostMemory(at::Device device, const char* driver = "libcuda.so.1");

// Total bytes of the GPU's memory, which on a board is most of the host's. Nullopt for another
// device, or if the driver does not answer.
[[nodiscard]] std::optional<int64_t> TotalMemory(at::Device device,
                                                 const char* driver = "libcuda.so.1");

// Free bytes of that memory. Only after this thread's first tensor on the GPU.
[[nodiscard]] std::optional<int64_t> FreeMemory(at::Device device,
                                                const char* driver = "libcuda.so.1");

// kFailedPrecondition if such a GPU does not support products of these factors; the message lists
// the supported ones. Pure.
absl::Status CheckFactors(kernels::FactorType factors,
                          const std::optional<ComputeCapability>& capability);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_CAPABILITY_H_
