// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/aten/stored_rows.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// Numbers in a piece. Each piece costs the launches of ten operators.
constexpr int64_t kNumbersOfPiece = 1 << 22;

}  // namespace

void AtenDevice::ForEachPieceOf(
    const MatrixWeights& matrix,
    absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const {
  const kernels::WeightMatrix& stored = matrix.matrix;
  constexpr int64_t kPanel = kernels::kPanelRows;
  const int64_t together = std::max(kPanel, kNumbersOfPiece / stored.columns / kPanel * kPanel);
  for (int64_t first = 0; first < stored.rows; first += together) {
    body(first, StoredRows(matrix, first, std::min(together, stored.rows - first)));
  }
}

// The inputs are not rounded: training uses this product, too.
at::Tensor AtenDevice::StoredProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                     const at::Tensor& bias) const {
  at::Tensor out = at::empty({x.size(0), matrix.matrix.rows}, x.options());
  ForEachPieceOf(matrix, [&](int64_t first, const at::Tensor& weights) {
    out.narrow(1, first, weights.size(0))
        .copy_(Product(kernels::FactorType::kFloat32, x, weights.t(), {}));
  });
  return bias.defined() ? out.add_(bias) : out;
}

at::Tensor AtenDevice::StoredRowsAt(const MatrixWeights& matrix, const at::Tensor& rows) const {
  return engine::StoredRowsAt(matrix, rows);
}

}  // namespace wattle::engine
