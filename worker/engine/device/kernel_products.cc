// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products with packed matrices: the kernels multiply few rows, tensor cores more rows in BF16.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "worker/engine/device/aten/stored_rows.h"
#include "worker/engine/device/cuda/many_rows.h"
#include "worker/engine/device/cuda/stored_product.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/device/tile_products.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

// Weights in a tile, 16 MiB. Each tile costs the launches of two operators.
constexpr int64_t kNumbersOfBf16Tile = int64_t{1} << 23;

// The product's matrix, in device memory; inputs are not set.
cuda::StoredProduct ProductWith(const MatrixWeights& matrix) {
  const auto bytes = [](const at::Tensor& tensor) {
    return tensor.defined() ? static_cast<const std::byte*>(tensor.data_ptr()) : nullptr;
  };
  kernels::WeightMatrix stored = matrix.matrix;
  stored.packed = bytes(matrix.packed);
  stored.scales = bytes(matrix.scales);
  return {.matrix = stored,
          .nf4_tables = matrix.tables.defined() ? matrix.tables.data_ptr<float>() : nullptr};
}

}  // namespace

bool KernelDevice::multiplies_bf16(at::Device device) const {
  if (!multiplies_bf16_.has_value()) {
    multiplies_bf16_ = TileType(capability_(device)) == at::kBFloat16;
  }
  return *multiplies_bf16_;
}

at::Tensor KernelDevice::StoredProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                       const at::Tensor& bias) const {
  const bool floats = x.scalar_type() == at::kFloat;
  if (x.size(0) <= cuda::kMaxProductRows && floats) {
    const at::Tensor out = at::empty({x.size(0), matrix.matrix.rows}, x.options());
    if (Multiply(matrix, x.contiguous(), bias, out)) {
      return out;
    }
  }
  const bool tiles = floats && x.size(0) > cuda::kMaxProductRows &&
                     matrix.matrix.format.scheme != kernels::WeightScheme::kFloat32 &&
                     multiplies_bf16(x.device());
  return tiles ? TiledProduct(matrix, x, bias) : AtenDevice::StoredProduct(matrix, x, bias);
}

at::Tensor KernelDevice::TiledProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                      const at::Tensor& bias) const {
  const at::Tensor factor = Factor(FactorType::kBf16, x);
  if (matrix.is_bf16()) {
    return Product(FactorType::kBf16, factor, matrix.packed.t(), bias);
  }
  at::Tensor out = at::empty({x.size(0), matrix.matrix.rows}, x.options());
  ForEachFactorOf(FactorType::kBf16, matrix, [&](int64_t first, const at::Tensor& weights) {
    out.narrow(1, first, weights.size(0))
        .copy_(Product(FactorType::kBf16, factor, weights.t(), {}));
  });
  return bias.defined() ? out.add_(bias) : out;
}

// FP16 has no kernel, and FP32 must be dequantized to the same bits as on the host: libtorch's
// operators do both.
void KernelDevice::ForEachFactorOf(
    FactorType factors, const MatrixWeights& matrix,
    absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const {
  const cuda::StoredProduct product = ProductWith(matrix);
  if (factors != FactorType::kBf16 || gave_up_ || !cuda::HasTiles(product.matrix)) {
    ForEachPieceOf(matrix, body);
    return;
  }
  const kernels::WeightMatrix& stored = matrix.matrix;
  constexpr int64_t kPanel = kernels::kPanelRows;
  const int64_t together = std::max(kPanel, kNumbersOfBf16Tile / stored.columns / kPanel * kPanel);
  const at::Tensor tile = at::empty({std::min(together, stored.rows), stored.columns},
                                    matrix.packed.options().dtype(at::kBFloat16));
  for (int64_t first = 0; first < stored.rows; first += together) {
    const int64_t rows = std::min(together, stored.rows - first);
    const bool dequantized = Carries(tile.device(), [&](cuda::KernelLauncher& launcher) {
      return cuda::Dequantize(
          product, {.first = first, .rows = rows, .bf16 = true, .out = tile.data_ptr()}, launcher);
    });
    body(first, dequantized ? tile.narrow(0, 0, rows) : StoredRows(matrix, first, rows));
  }
}

bool KernelDevice::Multiply(const MatrixWeights& matrix, const at::Tensor& x,
                            const at::Tensor& bias, const at::Tensor& out) const {
  cuda::StoredProduct product = ProductWith(matrix);
  product.bias = bias.defined() ? bias.data_ptr<float>() : nullptr;
  product.inputs = x.data_ptr<float>();
  product.input_stride = static_cast<int>(x.size(1));
  product.out = out.data_ptr<float>();
  product.out_stride = static_cast<int>(out.size(1));
  product.count = static_cast<int>(x.size(0));
  if (!cuda::Serves(product)) {
    return false;
  }
  return Carries(x.device(),
                 [&](cuda::KernelLauncher& launcher) { return cuda::Launch(product, launcher); });
}

}  // namespace wattle::engine
