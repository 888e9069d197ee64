// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Int8: symmetric, one scale for each output channel. weight ≈ scale * code.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

constexpr float kLargestCode = 127.0F;
constexpr int64_t kQuad = 4;  // columns that lie beside each other for one row

int64_t PanelBytes(const WeightMatrix& shape) {
  return kPanelRows * RoundUp(shape.columns, kInt8ColumnMultiple);
}

StoredBytes Bytes(const WeightMatrix& shape) {
  const int64_t panels = PanelCount(shape.rows);
  return {.packed = panels * PanelBytes(shape),
          .scales = panels * kPanelRows * static_cast<int64_t>(sizeof(float))};
}

// Where the code of a row and column lies.
int64_t Place(const WeightMatrix& shape, int64_t row, int64_t column) {
  return row / kPanelRows * PanelBytes(shape) + column / kQuad * kQuad * kPanelRows +
         row % kPanelRows * kQuad + column % kQuad;
}

GroupScale ChooseScale(absl::Span<const float> weights) {
  float largest = 0.0F;
  for (const float weight : weights) {
    largest = std::max(largest, std::fabs(weight));
  }
  return {.scale = largest / kLargestCode};
}

int8_t Encode(float weight, GroupScale scale) {
  // The quotient of a subnormal scale may exceed the range, so it is held inside.
  const float code = scale.scale == 0.0F ? 0.0F : std::nearbyint(weight / scale.scale);
  return static_cast<int8_t>(std::clamp(code, -kLargestCode, kLargestCode));
}

float Decode(int8_t code, GroupScale scale) {
  return scale.scale * static_cast<float>(code);
}

void Pack(const WeightMatrix& shape, const QuantizedRows& rows, const PackedBuffers& out) {
  const StoredBytes bytes = Bytes(shape);
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

void Dequantize(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  for (int64_t row = first; row < end; ++row) {
    GroupScale scale;
    std::memcpy(&scale.scale, matrix.scales + row * static_cast<int64_t>(sizeof(float)),
                sizeof(float));
    for (int64_t column = 0; column < matrix.columns; ++column) {
      *out++ = Decode(static_cast<int8_t>(matrix.packed[Place(matrix, row, column)]), scale);
    }
  }
}

}  // namespace

const FormatOperations& Int8Operations() {
  static constexpr GroupCodec kCodec = {
      .choose_scale = ChooseScale, .encode = Encode, .decode = Decode};
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kInt8,
                                                   .name = "int8",
                                                   .bits = 8,
                                                   .grouped = false,
                                                   .stored_bytes = Bytes,
                                                   .codec = &kCodec,
                                                   .pack = Pack,
                                                   .quantize = QuantizeByCodec,
                                                   .dequantize = Dequantize};
  return kOperations;
}

}  // namespace wattle::kernels
