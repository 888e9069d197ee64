// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of more input rows than the kernels take: a prompt's. Tensor cores make them, of rows
// that a kernel dequantizes (../tile_products.h).
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_MANY_ROWS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_MANY_ROWS_H_

#include <cstdint>

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/device/cuda/stored_product.h"

namespace wattle::cuda {

// The most rows of a step, and the fewest that are worth the dequantized weights.
constexpr int kManyRows = 512;
constexpr int kFewestManyRows = 64;

class ManyRowProducts {
 public:
  virtual ~ManyRowProducts() = default;
  // As Launch(product, launcher), with up to kManyRows rows. It is no part of a graph.
  virtual absl::Status Multiply(const StoredProduct& product, KernelLauncher& launcher) = 0;
};

// Rows of a matrix as tensor cores take them, in memory of the device.
struct Tile {
  int64_t first = 0;  // a multiple of kPanelRows
  int64_t rows = 0;
  bool bf16 = false;    // else FP32
  void* out = nullptr;  // [rows, columns]
};

// Whether Dequantize serves the matrix: its bytes begin where the kernels want them.
[[nodiscard]] bool HasTiles(const kernels::WeightMatrix& matrix);
// Rows of the product's matrix.
absl::Status Dequantize(const StoredProduct& product, const Tile& tile, KernelLauncher& launcher);
// The product, of its sums W inputs: [count, rows of the matrix].
absl::Status Finish(const StoredProduct& product, const void* sums, bool bf16,
                    KernelLauncher& launcher);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_MANY_ROWS_H_
