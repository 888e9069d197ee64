// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rows of a matrix in any format of worker/engine/kernels/weight_matrix.h as floats, with
// libtorch's operators on the device that has the packed bytes: nothing of the matrix is copied to
// or from the host. The numbers equal those of FormatOperations::dequantize to the last bit.
// Stateless.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_ATEN_STORED_ROWS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_ATEN_STORED_ROWS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace wattle::engine {

struct MatrixWeights;

// The matrix on the device, with the tables that the functions below read. matrix: packed, on the
// host.
MatrixWeights StoredOn(MatrixWeights matrix, at::Device device);

// Rows [first, first + count) → float [count, columns]. first: a multiple of kernels::kPanelRows.
at::Tensor StoredRows(const MatrixWeights& matrix, int64_t first, int64_t count);

// The rows numbered by `rows`: int64 [count], on the matrix's device → float [count, columns].
at::Tensor StoredRowsAt(const MatrixWeights& matrix, const at::Tensor& rows);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_ATEN_STORED_ROWS_H_
