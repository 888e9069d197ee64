// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of a prompt's rows with packed matrices: a kernel of cuda/ dequantizes some rows of the
// matrix, libtorch multiplies them, on tensor cores if they are BF16, and a kernel finishes the
// sums. FP32 matrices stay FP32.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_TILE_PRODUCTS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_TILE_PRODUCTS_H_

#include <optional>

#include <ATen/core/Tensor.h>

#include "worker/engine/device/cuda/many_rows.h"
#include "worker/engine/device/cuda_capability.h"

namespace wattle::engine {

// The type of dequantized weights: BF16 from Ampere on, else FP32; nullopt where FP32 tiles are
// slower than our kernels (a GPU before Ampere). capability: nullopt: no GPU, or unknown.
[[nodiscard]] std::optional<at::ScalarType> TileType(
    const std::optional<ComputeCapability>& capability);

class TileProducts final : public cuda::ManyRowProducts {
 public:
  // memory: device memory that has the inputs of every product, whole floats.
  TileProducts(const at::Tensor& memory, at::ScalarType type)
      : floats_(memory.view(at::kFloat)), type_(type) {}

  absl::Status Multiply(const cuda::StoredProduct& product,
                        cuda::KernelLauncher& launcher) override;

 private:
  at::Tensor floats_;
  at::ScalarType type_;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_TILE_PRODUCTS_H_
