// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Int6 in the form of llama.cpp's Q6_K: blocks of 256 columns with an FP16 scale, groups of 16 with
// an int8 scale, codes from 0 to 63 for -32 to 31. A weight is exact in FP32: 11 bits of the
// block's scale, 7 of the group's and 6 of the code are 24.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

constexpr int kInt6ZeroCode = 32;
constexpr float kInt6LargestStep = 31.0F;  // largest distance from zero on both sides
constexpr float kLargestGroupScale = 127.0F;
constexpr int64_t kLine = kPanelRows * 4;
constexpr int64_t kLinesOfGroup = 3;
constexpr int64_t kGroupsOfBlock = kInt6BlockColumns / kInt6GroupColumns;
constexpr int64_t kBlockScaleBytes = kPanelRows * (kHalfBytes + kGroupsOfBlock);

int64_t BlocksOfRow(const WeightMatrix& shape) {
  return shape.columns / kInt6BlockColumns;
}

StoredBytes Int6Stored(const WeightMatrix& shape) {
  const int64_t panels = PanelCount(shape.rows);
  return {.packed = panels * GroupsOfRow(shape) * kLinesOfGroup * kLine,
          .scales = panels * BlocksOfRow(shape) * kBlockScaleBytes};
}

// Where the four bytes of a row begin in the first line of a group.
int64_t GroupPlace(const WeightMatrix& shape, int64_t row, int64_t group) {
  return (row / kPanelRows * GroupsOfRow(shape) + group) * kLinesOfGroup * kLine +
         row % kPanelRows * 4;
}

// Offsets of the scales of a row's block and group.
struct ScalePlaces {
  int64_t of_block = 0;
  int64_t of_group = 0;
};

ScalePlaces PlacesOf(const WeightMatrix& shape, int64_t row, int64_t group) {
  const int64_t start =
      (row / kPanelRows * BlocksOfRow(shape) + group / kGroupsOfBlock) * kBlockScaleBytes;
  const int64_t lane = row % kPanelRows;
  return {.of_block = start + lane * kHalfBytes,
          .of_group = start + kPanelRows * kHalfBytes + group % kGroupsOfBlock * kPanelRows + lane};
}

// The sixteen codes of a group: byte j of a line belongs to column 4 quad + j.
void PackGroup(const int8_t* codes, std::byte* place) {
  for (int64_t j = 0; j < 4; ++j) {
    unsigned quads[4];
    for (int64_t quad = 0; quad < 4; ++quad) {
      quads[quad] = static_cast<unsigned char>(codes[4 * quad + j]);
    }
    place[j] = static_cast<std::byte>((quads[0] & 0xF) | (quads[1] & 0xF) << 4);
    place[kLine + j] = static_cast<std::byte>((quads[2] & 0xF) | (quads[3] & 0xF) << 4);
    place[2 * kLine + j] = static_cast<std::byte>(quads[0] >> 4 | quads[1] >> 4 << 2 |
                                                  quads[2] >> 4 << 4 | quads[3] >> 4 << 6);
  }
}

int CodeOf(const std::byte* place, int64_t column) {
  const int64_t quad = column / 4;
  const int64_t j = column % 4;
  const int lower = std::to_integer<int>(place[quad / 2 * kLine + j]) >> quad % 2 * 4 & 0xF;
  const int upper = std::to_integer<int>(place[2 * kLine + j]) >> quad * 2 & 0x3;
  return lower | upper << 4;
}

void PackInt6(const WeightMatrix& shape, const QuantizedRows& rows, const PackedBuffers& out) {
  const StoredBytes bytes = Int6Stored(shape);
  std::memset(out.packed, 0, static_cast<size_t>(bytes.packed));
  std::memset(out.scales, 0, static_cast<size_t>(bytes.scales));
  const int64_t groups = GroupsOfRow(shape);
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t group = 0; group < groups; ++group) {
      const auto number = static_cast<size_t>(row * groups + group);
      PackGroup(rows.codes.data() + number * kInt6GroupColumns,
                out.packed + GroupPlace(shape, row, group));
      const ScalePlaces places = PlacesOf(shape, row, group);
      StoreHalf(rows.block_scales[number / kGroupsOfBlock], out.scales + places.of_block);
      out.scales[places.of_group] =
          static_cast<std::byte>(static_cast<int8_t>(rows.scales[number].scale));
    }
  }
}

// Chooses scales of groups that reach their largest weight, and the block's scale to reach the
// largest group's.
void RoundBlock(const float* weights, int8_t* codes, GroupScale* scales, float& block_scale) {
  float largest[kGroupsOfBlock] = {};
  for (int64_t i = 0; i < kInt6BlockColumns; ++i) {
    float& of_group = largest[i / kInt6GroupColumns];
    of_group = std::max(of_group, std::fabs(weights[i]));
  }
  block_scale = RoundToHalf(*std::max_element(std::begin(largest), std::end(largest)) /
                            (kInt6LargestStep * kLargestGroupScale));
  for (int64_t group = 0; group < kGroupsOfBlock; ++group) {
    const float wanted = block_scale == 0.0F
                             ? 0.0F
                             : std::nearbyint(largest[group] / kInt6LargestStep / block_scale);
    scales[group].scale = std::min(wanted, kLargestGroupScale);
    const float step = block_scale * scales[group].scale;
    for (int64_t i = group * kInt6GroupColumns; i < (group + 1) * kInt6GroupColumns; ++i) {
      const float code = step == 0.0F ? 0.0F : std::nearbyint(weights[i] / step);
      codes[i] = static_cast<int8_t>(
          kInt6ZeroCode +
          static_cast<int>(std::clamp(code, -kInt6LargestStep - 1.0F, kInt6LargestStep)));
    }
  }
}

// For tests and benches: no job of this version rounds to this format.
void QuantizeInt6(const WeightMatrix& shape, const float* weights, const PackedBuffers& out) {
  std::vector<int8_t> codes(static_cast<size_t>(shape.rows * shape.columns));
  std::vector<GroupScale> scales(codes.size() / kInt6GroupColumns);
  std::vector<float> block_scales(codes.size() / kInt6BlockColumns);
  for (size_t block = 0; block < block_scales.size(); ++block) {
    const size_t first = block * kInt6BlockColumns;
    RoundBlock(weights + first, codes.data() + first, scales.data() + block * kGroupsOfBlock,
               block_scales[block]);
  }
  PackInt6(shape, {.codes = codes, .scales = scales, .block_scales = block_scales}, out);
}

void DequantizeInt6(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  for (int64_t row = first; row < end; ++row) {
    for (int64_t group = 0; group < GroupsOfRow(matrix); ++group) {
      const ScalePlaces places = PlacesOf(matrix, row, group);
      const auto of_group = static_cast<int8_t>(matrix.scales[places.of_group]);
      const float scale = LoadHalf(matrix.scales + places.of_block) * static_cast<float>(of_group);
      const std::byte* place = matrix.packed + GroupPlace(matrix, row, group);
      for (int64_t column = 0; column < kInt6GroupColumns; ++column) {
        *out++ = scale * static_cast<float>(CodeOf(place, column) - kInt6ZeroCode);
      }
    }
  }
}

}  // namespace

const FormatOperations& Int6Operations() {
  static constexpr int32_t kGroups[] = {kInt6GroupColumns};
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kInt6,
                                                   .name = "int6",
                                                   .bits = 6,
                                                   .group_sizes = kGroups,
                                                   .stored_bytes = Int6Stored,
                                                   .codec = nullptr,
                                                   .pack = PackInt6,
                                                   .quantize = QuantizeInt6,
                                                   .dequantize = DequantizeInt6,
                                                   .column_multiple = kInt6BlockColumns};
  return kOperations;
}

}  // namespace wattle::kernels
