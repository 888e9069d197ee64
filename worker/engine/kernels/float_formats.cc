// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Row by row: FP32, the format of training and the reference for every other format, and FP16, the
// encoding of FP16 files.
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

StoredBytes Float16Stored(const WeightMatrix& shape) {
  return {.packed = shape.rows * shape.columns * kHalfBytes, .scales = 0};
}

void ToHalves(const WeightMatrix& shape, const float* weights, const PackedBuffers& out) {
  for (int64_t i = 0; i < shape.rows * shape.columns; ++i) {
    StoreHalf(RoundToHalf(weights[i]), out.packed + i * kHalfBytes);
  }
}

void Float16Rows(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  const std::byte* place = matrix.packed + first * matrix.columns * kHalfBytes;
  for (int64_t i = 0; i < (end - first) * matrix.columns; ++i) {
    out[i] = LoadHalf(place + i * kHalfBytes);
  }
}

}  // namespace

const FormatOperations& Float32Operations() {
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kFloat32,
                                                   .name = "fp32",
                                                   .bits = 32,
                                                   .group_sizes = kNoGroups,
                                                   .stored_bytes = Float32Stored,
                                                   .codec = nullptr,
                                                   .pack = nullptr,
                                                   .quantize = Copy,
                                                   .dequantize = Float32Rows};
  return kOperations;
}

const FormatOperations& Float16Operations() {
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kFloat16,
                                                   .name = "fp16",
                                                   .bits = 16,
                                                   .group_sizes = kNoGroups,
                                                   .stored_bytes = Float16Stored,
                                                   .codec = nullptr,
                                                   .pack = nullptr,
                                                   .quantize = ToHalves,
                                                   .dequantize = Float16Rows};
  return kOperations;
}

}  // namespace wattle::kernels
