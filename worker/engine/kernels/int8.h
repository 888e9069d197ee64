// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Int8 weights, symmetric, one scale for each output channel: weight ≈ scale * code. Activations
// stay FP32. Simple and correct; the packed, dispatched forms of later take the same arguments.
// Thread-safe on disjoint outputs.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_INT8_H_
#define WATTLE_WORKER_ENGINE_KERNELS_INT8_H_

#include <cstdint>

namespace wattle::kernels {

// A quantized weight matrix. codes: [rows, columns] row-major, rows are output channels, in [-127,
// 127]; scales: [rows].
struct Int8Matrix {
  const int8_t* codes = nullptr;
  const float* scales = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
};

// scales[r] = max|weights[r, :]| / 127; codes = round to nearest even of weight / scale; a row of
// zeros gets scale 0. Returns false, with nothing promised about the outputs, where a weight is not
// finite.
bool QuantizeInt8Rows(const float* weights, int64_t rows, int64_t columns, int8_t* codes,
                      float* scales);

// out[r, c] = codes[r, c] * scales[r].
void DequantizeInt8(const Int8Matrix& matrix, float* out);

// out[i, r] = scales[r] * Σ_c codes[r, c] * inputs[i, c] + bias[r].
// inputs: [count, columns]; bias: [rows] or null; out: [count, rows]. count 1 is the matrix-vector
// product of decoding.
void Int8MatMul(const Int8Matrix& matrix, const float* inputs, int64_t count, const float* bias,
                float* out);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_INT8_H_
