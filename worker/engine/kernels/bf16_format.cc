// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// BF16, row by row: the encoding of BF16 files, and of weights in training with weights_precision:
// bf16. A tensor may be a view of the bytes. Training products read them (float_matmul.h) or
// dequantize pieces.
#include <cstdint>

#include "worker/engine/kernels/bf16.h"
#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

constexpr auto kBf16Bytes = static_cast<int64_t>(sizeof(uint16_t));

StoredBytes Bf16Stored(const WeightMatrix& shape) {
  return {.packed = shape.rows * shape.columns * kBf16Bytes, .scales = 0};
}

void ToNearest(const WeightMatrix& shape, const float* weights, const PackedBuffers& out) {
  auto* numbers = reinterpret_cast<uint16_t*>(out.packed);
  for (int64_t i = 0; i < shape.rows * shape.columns; ++i) {
    numbers[i] = Bf16FromFloat(weights[i]);
  }
}

void Bf16Rows(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  WidenBf16(reinterpret_cast<const uint16_t*>(matrix.packed) + first * matrix.columns,
            (end - first) * matrix.columns, out);
}

}  // namespace

const FormatOperations& Bf16Operations() {
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kBf16,
                                                   .name = "bf16",
                                                   .bits = 16,
                                                   .group_sizes = kNoGroups,
                                                   .stored_bytes = Bf16Stored,
                                                   .codec = nullptr,
                                                   .pack = nullptr,
                                                   .quantize = ToNearest,
                                                   .dequantize = Bf16Rows};
  return kOperations;
}

}  // namespace wattle::kernels
