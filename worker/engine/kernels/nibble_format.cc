// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The packed layout of the 4-bit formats (described in formats_internal.h).
#include <cstring>

#include "base/fp16.h"
#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kColumnsOfLine = 8;  // one line of 64 bytes: 16 rows of 8 codes

bool HasMinimums(const WeightMatrix& shape) {
  return shape.format.scheme == WeightScheme::kInt4Asymmetric;
}

int64_t PanelBytes(const WeightMatrix& shape) {
  return kPanelRows * shape.columns / 2;
}

int64_t PanelScaleBytes(const WeightMatrix& shape) {
  return GroupsOfRow(shape) * kPanelRows * kHalfBytes * (HasMinimums(shape) ? 2 : 1);
}

// The byte with the code of a row and column, and whether the code is in its high half.
struct NibblePlace {
  int64_t byte = 0;
  bool high = false;
};

NibblePlace PlaceOf(const WeightMatrix& shape, int64_t row, int64_t column) {
  const int64_t line = column / kColumnsOfLine * kPanelRows * 4;
  return {.byte = row / kPanelRows * PanelBytes(shape) + line + row % kPanelRows * 4 + column % 4,
          .high = column % kColumnsOfLine >= 4};
}

// Offset of the scale of a row's group; the minimum follows `kPanelRows` halves later.
int64_t ScalePlace(const WeightMatrix& shape, int64_t row, int64_t group) {
  const int64_t per_group = kPanelRows * kHalfBytes * (HasMinimums(shape) ? 2 : 1);
  return row / kPanelRows * PanelScaleBytes(shape) + group * per_group +
         row % kPanelRows * kHalfBytes;
}

}  // namespace

void StoreHalf(float value, std::byte* place) {
  const uint16_t half = Fp16FromFloat(value);
  std::memcpy(place, &half, sizeof(half));
}

float LoadHalf(const std::byte* place) {
  uint16_t half = 0;
  std::memcpy(&half, place, sizeof(half));
  return FloatFromFp16(half);
}

float RoundToHalf(float value) {
  constexpr float kLargestHalf = 65504.0F;
  const float rounded = FloatFromFp16(Fp16FromFloat(value));
  return rounded > kLargestHalf ? kLargestHalf : rounded < -kLargestHalf ? -kLargestHalf : rounded;
}

StoredBytes NibbleBytes(const WeightMatrix& shape) {
  const int64_t panels = PanelCount(shape.rows);
  return {.packed = panels * PanelBytes(shape), .scales = panels * PanelScaleBytes(shape)};
}

void PackNibbles(const WeightMatrix& shape, const QuantizedRows& rows, const PackedBuffers& out) {
  const StoredBytes bytes = NibbleBytes(shape);
  std::memset(out.packed, 0, static_cast<size_t>(bytes.packed));
  std::memset(out.scales, 0, static_cast<size_t>(bytes.scales));
  const int64_t groups = GroupsOfRow(shape);
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t column = 0; column < shape.columns; ++column) {
      const NibblePlace place = PlaceOf(shape, row, column);
      const auto code =
          static_cast<unsigned char>(rows.codes[static_cast<size_t>(row * shape.columns + column)]);
      out.packed[place.byte] |= static_cast<std::byte>(place.high ? code << 4 : code);
    }
    for (int64_t group = 0; group < groups; ++group) {
      const GroupScale& scale = rows.scales[static_cast<size_t>(row * groups + group)];
      std::byte* place = out.scales + ScalePlace(shape, row, group);
      StoreHalf(scale.scale, place);
      if (HasMinimums(shape)) {
        StoreHalf(scale.minimum, place + kPanelRows * kHalfBytes);
      }
    }
  }
}

void DequantizeNibbles(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  const GroupCodec& codec = *OperationsOf(matrix.format.scheme).codec;
  const int64_t group_columns = GroupColumns(matrix);
  for (int64_t row = first; row < end; ++row) {
    for (int64_t group = 0; group < GroupsOfRow(matrix); ++group) {
      const std::byte* place = matrix.scales + ScalePlace(matrix, row, group);
      GroupScale scale{.scale = LoadHalf(place)};
      if (HasMinimums(matrix)) {
        scale.minimum = LoadHalf(place + kPanelRows * kHalfBytes);
      }
      for (int64_t i = 0; i < group_columns; ++i) {
        const NibblePlace nibble = PlaceOf(matrix, row, group * group_columns + i);
        const auto byte = static_cast<unsigned char>(matrix.packed[nibble.byte]);
        *out++ = codec.decode(static_cast<int8_t>(nibble.high ? byte >> 4 : byte & 0xF), scale);
      }
    }
  }
}

}  // namespace wattle::kernels
