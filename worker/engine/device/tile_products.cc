// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/tile_products.h"

#include <algorithm>
#include <cstdint>

#include "base/status_macros.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int kAmpere = 8;
// Weights in a tile: 16 MiB. Each tile costs the launches of two operators.
constexpr int64_t kNumbersOfTile = int64_t{1} << 23;

}  // namespace

std::optional<at::ScalarType> TileType(const std::optional<ComputeCapability>& capability) {
  if (!capability.has_value()) {
    return at::kFloat;
  }
  return capability->major >= kAmpere ? std::optional(at::kBFloat16) : std::nullopt;
}

absl::Status TileProducts::Multiply(const cuda::StoredProduct& product,
                                    cuda::KernelLauncher& launcher) {
  const kernels::WeightMatrix& matrix = product.matrix;
  const bool floats = matrix.format.scheme == kernels::WeightScheme::kFloat32;
  const at::TensorOptions options = floats_.options().dtype(floats ? at::kFloat : type_);
  const bool bf16 = options.dtype() == at::kBFloat16;
  const at::Tensor inputs =
      floats_
          .as_strided({product.count, matrix.columns}, {product.input_stride, 1},
                      product.inputs - floats_.data_ptr<float>())
          .to(options.dtype());
  const at::Tensor sums = at::empty({product.count, matrix.rows}, options);
  constexpr int64_t kPanel = kernels::kPanelRows;
  const int64_t together = std::max(kPanel, kNumbersOfTile / matrix.columns / kPanel * kPanel);
  const at::Tensor tile = at::empty({std::min(together, matrix.rows), matrix.columns}, options);
  for (int64_t first = 0; first < matrix.rows; first += together) {
    const int64_t rows = std::min(together, matrix.rows - first);
    WATTLE_RETURN_IF_ERROR(cuda::Dequantize(
        product, {.first = first, .rows = rows, .bf16 = bf16, .out = tile.data_ptr()}, launcher));
    at::Tensor part = sums.narrow(1, first, rows);
    at::mm_out(part, inputs, tile.narrow(0, 0, rows).t());
  }
  return cuda::Finish(product, sums.data_ptr(), bf16, launcher);
}

}  // namespace wattle::engine
