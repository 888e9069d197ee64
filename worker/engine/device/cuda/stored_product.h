// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The launch of one product with a stored matrix. Thread-safe if the launcher is.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_STORED_PRODUCT_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_STORED_PRODUCT_H_

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::cuda {

// out = f(W inputs + bias), gated or added (ProductArguments). All pointers are device pointers.
struct StoredProduct {
  kernels::WeightMatrix matrix;
  const float* nf4_tables = nullptr;  // StoredMatrix::tables
  const float* bias = nullptr;
  const float* inputs = nullptr;  // [count, input_stride]
  int input_stride = 0;
  float* out = nullptr;  // [count, out_stride]
  int out_stride = 0;
  int count = 0;
  kernels::Nonlinearity nonlinearity = kernels::Nonlinearity::kNone;
  bool accumulate = false;
  bool gated = false;
};

// "int8": part of the kernels' names.
[[nodiscard]] const char* FormatOf(kernels::WeightScheme scheme);
// Whether its bytes are in panels, else row by row.
[[nodiscard]] bool InPanels(kernels::WeightScheme scheme);

[[nodiscard]] StoredMatrix StoredOf(const kernels::WeightMatrix& matrix, const float* nf4_tables);

[[nodiscard]] ProductArguments ArgumentsOf(const StoredProduct& product);

// Whether the kernels compute the product: few enough rows, and all pointers aligned.
[[nodiscard]] bool Serves(const StoredProduct& product);

// product: must be one that the kernels serve.
absl::Status Launch(const StoredProduct& product, KernelLauncher& launcher);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_STORED_PRODUCT_H_
