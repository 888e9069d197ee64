// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// FP32, row by row: what training works on and every other format is compared with.
#include <cstring>

#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

constexpr auto kBytes = static_cast<int64_t>(sizeof(float));

StoredBytes Bytes(const WeightMatrix& shape) {
  return {.packed = shape.rows * shape.columns * kBytes, .scales = 0};
}

void Copy(const WeightMatrix& shape, const float* weights, const PackedBuffers& out) {
  std::memcpy(out.packed, weights, static_cast<size_t>(Bytes(shape).packed));
}

void Rows(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  std::memcpy(out, matrix.packed + first * matrix.columns * kBytes,
              static_cast<size_t>((end - first) * matrix.columns * kBytes));
}

}  // namespace

const FormatOperations& Float32Operations() {
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kFloat32,
                                                   .name = "fp32",
                                                   .bits = 32,
                                                   .grouped = false,
                                                   .stored_bytes = Bytes,
                                                   .codec = nullptr,
                                                   .pack = nullptr,
                                                   .quantize = Copy,
                                                   .dequantize = Rows};
  return kOperations;
}

}  // namespace wattle::kernels
