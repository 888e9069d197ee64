// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What an NVIDIA GPU can compute with, by its compute capability: libtorch computes BF16 products
// on every GPU, but one before Ampere has no instructions for them. And how much memory it has, and
// whether that is the host's. The driver is asked directly (dlopen), so that nothing of CUDA is
// needed to build.
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

// Of a CUDA device, by the driver's library; none for another device, or where the driver does not
// answer.
[[nodiscard]] std::optional<ComputeCapability> CapabilityOf(at::Device device,
                                                            const char* driver = "libcuda.so.1");

// Whether the GPU's memory is the host's, as a board's. Not for another device, or where the driver
// does not answer.
[[nodiscard]] bool SharesHostMemory(at::Device device, const char* driver = "libcuda.so.1");

// Bytes of the GPU's memory in all, which on a board is most of the host's. None for another
// device, or where the driver does not answer.
[[nodiscard]] std::optional<int64_t> TotalMemory(at::Device device,
                                                 const char* driver = "libcuda.so.1");

// Bytes of it that no program holds. Only after this thread's first tensor on the GPU.
[[nodiscard]] std::optional<int64_t> FreeMemory(at::Device device,
                                                const char* driver = "libcuda.so.1");

// kFailedPrecondition where products of these factors are not for such a GPU; says which are. Pure.
absl::Status CheckFactors(kernels::FactorType factors,
                          const std::optional<ComputeCapability>& capability);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_CAPABILITY_H_
