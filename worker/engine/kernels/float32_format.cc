// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// FP32, row by row: what training works on and every other format is compared with.
#include <cstring>

#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

StoredBytes Float32Stored(const WeightMatrix& shape) {
  return {.packed = shape.rows * shape.columns * kFloatBytes, .scales = 0};
}

void Copy(const WeightMatrix& shape, const float* weights, const PackedBuffers& out) {
  std::memcpy(out.packed, weights, static_cast<size_t>(Float32Stored(shape).packed));
}

void Float32Rows(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  std::memcpy(out, matrix.packed + first * matrix.columns * kFloatBytes,
              static_cast<size_t>((end - first) * matrix.columns * kFloatBytes));
}

}  // namespace

const FormatOperations& Float32Operations() {
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kFloat32,
                                                   .name = "fp32",
                                                   .bits = 32,
                                                   .grouped = false,
                                                   .stored_bytes = Float32Stored,
                                                   .codec = nullptr,
                                                   .pack = nullptr,
                                                   .quantize = Copy,
                                                   .dequantize = Float32Rows};
  return kOperations;
}

}  // namespace wattle::kernels
