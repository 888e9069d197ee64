// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// Rows of a matrix that are in FP32 at the same time.
constexpr int64_t kDequantizedRows = 256;
static_assert(kDequantizedRows % kernels::kPanelRows == 0);

}  // namespace

// All pieces reuse the same memory.
void CpuDevice::ForEachPieceOf(
    const MatrixWeights& matrix,
    absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const {
  const kernels::WeightMatrix& stored = matrix.matrix;
  const kernels::FormatOperations& format = kernels::OperationsOf(stored.format.scheme);
  const at::Tensor piece =
      at::empty({std::min(kDequantizedRows, stored.rows), stored.columns}, at::kFloat);
  auto* values = piece.data_ptr<float>();
  for (int64_t first = 0; first < stored.rows; first += kDequantizedRows) {
    const int64_t rows = std::min(kDequantizedRows, stored.rows - first);
    ForEachPiece(rows, kernels::kPanelRows, [&](int64_t begin, int64_t end) {
      format.dequantize(stored, first + begin, first + end, values + begin * stored.columns);
    });
    body(first, piece.narrow(0, 0, rows));
  }
}

at::Tensor CpuDevice::StoredProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                    const at::Tensor& bias) const {
  const at::Tensor inputs = x.contiguous();
  at::Tensor out = at::empty({inputs.size(0), matrix.matrix.rows}, inputs.options());
  kernels::WeightMatrix weights = matrix.matrix;
  weights.bias = bias.defined() ? bias.data_ptr<float>() : nullptr;
  kernels::MatMul(weights, inputs.data_ptr<float>(), inputs.size(0), {}, out.data_ptr<float>(),
                  KernelThreads());
  return out;
}

at::Tensor CpuDevice::StoredRowsAt(const MatrixWeights& matrix, const at::Tensor& rows) const {
  at::Tensor out = at::empty({rows.size(0), matrix.matrix.columns}, at::kFloat);
  const kernels::FormatOperations& format = kernels::OperationsOf(matrix.matrix.format.scheme);
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const int64_t row = rows.data_ptr<int64_t>()[i];
    format.dequantize(matrix.matrix, row, row + 1,
                      out.data_ptr<float>() + i * matrix.matrix.columns);
  }
  return out;
}

}  // namespace wattle::engine
