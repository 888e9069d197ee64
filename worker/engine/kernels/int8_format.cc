// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Int8: symmetric, one scale for each output channel. weight ≈ scale * code.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

constexpr float kInt8LargestCode = 127.0F;
constexpr int64_t kQuad = 4;  // columns that lie beside each other for one row

int64_t PanelBytes(const WeightMatrix& shape) {
  return kPanelRows * RoundUp(shape.columns, kInt8ColumnMultiple);
}

StoredBytes Int8Stored(const WeightMatrix& shape) {
  const int64_t panels = PanelCount(shape.rows);
  return {.packed = panels * PanelBytes(shape),
          .scales = panels * kPanelRows * static_cast<int64_t>(sizeof(float))};
}

// Where the code of a row and column lies.
int64_t Place(const WeightMatrix& shape, int64_t row, int64_t column) {
  return row / kPanelRows * PanelBytes(shape) + column / kQuad * kQuad * kPanelRows +
         row % kPanelRows * kQuad + column % kQuad;
}

GroupScale ChooseInt8Scale(absl::Span<const float> weights) {
  float largest = 0.0F;
  for (const float weight : weights) {
    largest = std::max(largest, std::fabs(weight));
  }
  return {.scale = largest / kInt8LargestCode};
}

int8_t EncodeInt8(float weight, GroupScale scale) {
  // The quotient of a subnormal scale may exceed the range, so it is held inside.
  const float code = scale.scale == 0.0F ? 0.0F : std::nearbyint(weight / scale.scale);
  return static_cast<int8_t>(std::clamp(code, -kInt8LargestCode, kInt8LargestCode));
}

float DecodeInt8(int8_t code, GroupScale scale) {
  return scale.scale * static_cast<float>(code);
}

void Pack(const WeightMatrix& shape, const QuantizedRows& rows, const PackedBuffers& out) {
  const StoredBytes bytes = Int8Stored(shape);
  std::memset(out.packed, 0, static_cast<size_t>(bytes.packed));
  std::memset(out.scales, 0, static_cast<size_t>(bytes.scales));
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t column = 0; column < shape.columns; ++column) {
      out.packed[Place(shape, row, column)] =
          static_cast<std::byte>(rows.codes[static_cast<size_t>(row * shape.columns + column)]);
    }
    std::memcpy(out.scales + row * static_cast<int64_t>(sizeof(float)),
                &rows.scales[static_cast<size_t>(row)].scale, sizeof(float));
  }
}

void DequantizeInt8(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  for (int64_t row = first; row < end; ++row) {
    GroupScale scale;
    std::memcpy(&scale.scale, matrix.scales + row * static_cast<int64_t>(sizeof(float)),
                sizeof(float));
    for (int64_t column = 0; column < matrix.columns; ++column) {
      *out++ = DecodeInt8(static_cast<int8_t>(matrix.packed[Place(matrix, row, column)]), scale);
    }
  }
}

}  // namespace

const FormatOperations& Int8Operations() {
  static constexpr GroupCodec kCodec = {
      .choose_scale = ChooseInt8Scale, .encode = EncodeInt8, .decode = DecodeInt8};
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kInt8,
                                                   .name = "int8",
                                                   .bits = 8,
                                                   .grouped = false,
                                                   .stored_bytes = Int8Stored,
                                                   .codec = &kCodec,
                                                   .pack = Pack,
                                                   .quantize = QuantizeByCodec,
                                                   .dequantize = DequantizeInt8};
  return kOperations;
}

}  // namespace wattle::kernels
