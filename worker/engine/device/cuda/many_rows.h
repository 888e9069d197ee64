// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of more input rows than the kernels take, as in a prompt: tensor cores multiply rows
// that a kernel dequantizes (../tile_products.h).
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_MANY_ROWS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_MANY_ROWS_H_

#include <cstdint>

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/device/cuda/stored_product.h"

namespace wattle::cuda {

// The maximum of rows in a step, and the minimum that is worth dequantizing the weights.
constexpr int kManyRows = 512;
constexpr int kFewestManyRows = 64;

class ManyRowProducts {
 public:
  virtual ~ManyRowProducts() = default;
  // Same contract as Launch(product, launcher), with up to kManyRows rows. Never part of a graph.
  virtual absl::Status Multiply(const StoredProduct& product, KernelLauncher& launcher) = 0;
};

// Dequantized rows of a matrix for tensor cores, in device memory.
struct Tile {
  int64_t first = 0;  // a multiple of kPanelRows
  int64_t rows = 0;
  bool bf16 = false;    // else FP32
  void* out = nullptr;  // [rows, columns]
};

// Whether Dequantize serves the matrix: its bytes are aligned as the kernels require.
[[nodiscard]] bool HasTiles(const kernels::WeightMatrix& matrix);
// Dequantizes rows of the product's matrix.
absl::Status Dequantize(const StoredProduct& product, const Tile& tile, KernelLauncher& launcher);
// Finishes the product from its sums W inputs: [count, rows of the matrix].
absl::Status Finish(const StoredProduct& product, const void* sums, bool bf16,
                    KernelLauncher& launcher);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_MANY_ROWS_H_
