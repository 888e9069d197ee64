// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rows of a matrix in any format of worker/engine/kernels/weight_matrix.h as floats, by libtorch's
// operators on the device where the packed bytes lie: nothing of the matrix goes to the host or
// comes from it. The numbers are those of FormatOperations::dequantize to the last bit. Stateless.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_ATEN_STORED_ROWS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_ATEN_STORED_ROWS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace wattle::engine {

struct MatrixWeights;

// The matrix on the device, with what the functions below read beside it. matrix: packed, on the
// host.
MatrixWeights StoredOn(MatrixWeights matrix, at::Device device);

// Rows [first, first + count) → float [count, columns]. first: a multiple of kernels::kPanelRows.
at::Tensor StoredRows(const MatrixWeights& matrix, int64_t first, int64_t count);

// These rows: int64 [count], on the matrix's device → float [count, columns].
at::Tensor StoredRowsAt(const MatrixWeights& matrix, const at::Tensor& rows);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_ATEN_STORED_ROWS_H_
