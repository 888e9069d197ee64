// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of a prompt's rows with packed matrices: a kernel of cuda/ dequantizes some rows of the
// matrix, libtorch multiplies them, by tensor cores where they are BF16, and a kernel finishes the
// sums. Matrices of FP32 stay FP32.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_TILE_PRODUCTS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_TILE_PRODUCTS_H_

#include <optional>

#include <ATen/core/Tensor.h>

#include "worker/engine/device/cuda/many_rows.h"
#include "worker/engine/device/cuda_capability.h"

namespace wattle::engine {

// What packed weights become: BF16 from Ampere on, else FP32; none where tiles of FP32 are slower
// than our kernels (a GPU before Ampere). capability: none: no GPU, or one that does not say.
[[nodiscard]] std::optional<at::ScalarType> TileType(
    const std::optional<ComputeCapability>& capability);

class TileProducts final : public cuda::ManyRowProducts {
 public:
  // memory: bytes of the device that hold the inputs of every product, whole floats.
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
