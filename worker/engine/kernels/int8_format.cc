// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Int8: symmetric, weight ≈ scale * code. One FP32 scale per output channel, or one FP16 scale per
// group of columns; groups of 32 are GGUF's Q8_0.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

constexpr float kInt8LargestCode = 127.0F;
constexpr float kGroupedSmallestCode = -128.0F;  // only in files: our rounding gives at least -127
constexpr int64_t kQuad = 4;                     // adjacent columns of one row

bool HasGroups(const WeightMatrix& shape) {
  return shape.format.scheme == WeightScheme::kInt8Grouped;
}

int64_t PanelBytes(const WeightMatrix& shape) {
  return kPanelRows * RoundUp(shape.columns, kInt8ColumnMultiple);
}

StoredBytes Int8Stored(const WeightMatrix& shape) {
  const int64_t panels = PanelCount(shape.rows);
  const int64_t of_row =
      HasGroups(shape) ? GroupsOfRow(shape) * kHalfBytes : static_cast<int64_t>(sizeof(float));
  return {.packed = panels * PanelBytes(shape), .scales = panels * kPanelRows * of_row};
}

// Offset of the code of a row and column.
int64_t Place(const WeightMatrix& shape, int64_t row, int64_t column) {
  return row / kPanelRows * PanelBytes(shape) + column / kQuad * kQuad * kPanelRows +
         row % kPanelRows * kQuad + column % kQuad;
}

// Offset of the scale of a row's group.
int64_t ScalePlace(const WeightMatrix& shape, int64_t row, int64_t group) {
  return HasGroups(shape)
             ? ((row / kPanelRows * GroupsOfRow(shape) + group) * kPanelRows + row % kPanelRows) *
                   kHalfBytes
             : row * static_cast<int64_t>(sizeof(float));
}

void StoreScale(const WeightMatrix& shape, float scale, std::byte* place) {
  if (HasGroups(shape)) {
    StoreHalf(scale, place);
  } else {
    std::memcpy(place, &scale, sizeof(scale));
  }
}

float LoadScale(const WeightMatrix& shape, const std::byte* place) {
  if (HasGroups(shape)) {
    return LoadHalf(place);
  }
  float scale = 0.0F;
  std::memcpy(&scale, place, sizeof(scale));
  return scale;
}

GroupScale ChooseInt8Scale(absl::Span<const float> weights) {
  float largest = 0.0F;
  for (const float weight : weights) {
    largest = std::max(largest, std::fabs(weight));
  }
  return {.scale = largest / kInt8LargestCode};
}

int8_t EncodeInt8(float weight, GroupScale scale) {
  // The quotient by a subnormal scale may exceed the range, so it is clamped.
  const float code = scale.scale == 0.0F ? 0.0F : std::nearbyint(weight / scale.scale);
  return static_cast<int8_t>(std::clamp(code, -kInt8LargestCode, kInt8LargestCode));
}

GroupScale ChooseGroupScale(absl::Span<const float> weights) {
  return {.scale = RoundToHalf(ChooseInt8Scale(weights).scale)};
}

int8_t EncodeGrouped(float weight, GroupScale scale) {
  const float code = scale.scale == 0.0F ? 0.0F : std::nearbyint(weight / scale.scale);
  return static_cast<int8_t>(std::clamp(code, kGroupedSmallestCode, kInt8LargestCode));
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
    const int64_t groups = GroupsOfRow(shape);
    for (int64_t group = 0; group < groups; ++group) {
      StoreScale(shape, rows.scales[static_cast<size_t>(row * groups + group)].scale,
                 out.scales + ScalePlace(shape, row, group));
    }
  }
}

void DequantizeInt8(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  const int64_t group_columns = GroupColumns(matrix);
  for (int64_t row = first; row < end; ++row) {
    GroupScale scale;
    for (int64_t column = 0; column < matrix.columns; ++column) {
      if (column % group_columns == 0) {
        scale.scale =
            LoadScale(matrix, matrix.scales + ScalePlace(matrix, row, column / group_columns));
      }
      *out++ = DecodeInt8(static_cast<int8_t>(matrix.packed[Place(matrix, row, column)]), scale);
    }
  }
}

constexpr FormatOperations OperationsWith(WeightScheme scheme,
                                          absl::Span<const int32_t> group_sizes,
                                          const GroupCodec* codec) {
  return {.scheme = scheme,
          .name = "int8",
          .bits = 8,
          .group_sizes = group_sizes,
          .stored_bytes = Int8Stored,
          .codec = codec,
          .pack = Pack,
          .quantize = QuantizeByCodec,
          .dequantize = DequantizeInt8};
}

}  // namespace

const FormatOperations& Int8Operations() {
  static constexpr GroupCodec kCodec = {
      .choose_scale = ChooseInt8Scale, .encode = EncodeInt8, .decode = DecodeInt8};
  static constexpr FormatOperations kOperations =
      OperationsWith(WeightScheme::kInt8, kNoGroups, &kCodec);
  return kOperations;
}

const FormatOperations& Int8GroupedOperations() {
  static constexpr GroupCodec kCodec = {
      .choose_scale = ChooseGroupScale, .encode = EncodeGrouped, .decode = DecodeInt8};
  static constexpr FormatOperations kOperations =
      OperationsWith(WeightScheme::kInt8Grouped, kGroupSizes, &kCodec);
  return kOperations;
}

}  // namespace wattle::kernels
