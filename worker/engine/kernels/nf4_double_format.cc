// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// NF4 with double quantization (Dettmers et al., "QLoRA", 2023, section 3), the encoding of
// bitsandbytes for the frozen weights of a QLoRA run. A weight is a level of Nf4Values times its
// group's largest magnitude; these magnitudes, minus their mean, are 8-bit codes of a map with a
// sign, an exponent of base ten and a linear fraction, in blocks of 256 with one FP32 scale. 4.127
// bits per weight in groups of 64. Row by row, not in panels: training dequantizes it, and no
// product reads it.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <vector>

#include "base/check.h"
#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/formats_internal.h"
#include "worker/engine/kernels/nf4_double.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kScalesOfBlock = 256;  // groups that share an FP32 scale

// Where the parts of the scales' buffer begin: a byte for each group, then the FP32 scale of each
// block, then the mean.
struct ScaleLayout {
  explicit ScaleLayout(const WeightMatrix& shape)
      : groups(shape.rows * GroupsOfRow(shape)),
        blocks((groups + kScalesOfBlock - 1) / kScalesOfBlock),
        block_scales(RoundUp(groups, kFloatBytes)),
        mean(block_scales + blocks * kFloatBytes) {}

  int64_t groups;
  int64_t blocks;
  int64_t block_scales;
  int64_t mean;
};

float FloatAt(const std::byte* place) {
  float value = 0.0F;
  std::memcpy(&value, place, sizeof(value));
  return value;
}

StoredBytes Nf4DoubleStored(const WeightMatrix& shape) {
  return {.packed = shape.rows * shape.columns / 2,
          .scales = ScaleLayout(shape).mean + kFloatBytes};
}

// The index of the number nearest to `wanted`; the lower one in a tie.
template <typename Values>
uint8_t Nearest(const Values& sorted, float wanted) {
  const auto above = std::lower_bound(sorted.begin(), sorted.end(), wanted);
  if (above == sorted.end()) {
    return static_cast<uint8_t>(sorted.size() - 1);
  }
  const bool below_is_nearer =
      above != sorted.begin() && wanted - *std::prev(above) <= *above - wanted;
  return static_cast<uint8_t>(above - sorted.begin() - (below_is_nearer ? 1 : 0));
}

float LargestMagnitude(const float* values, int64_t count) {
  float largest = 0.0F;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::fabs(values[i]));
  }
  return largest;
}

// Codes of the groups' magnitudes; overwrites `magnitudes`.
void QuantizeScales(const ScaleLayout& layout, std::vector<float>& magnitudes, std::byte* out) {
  double sum = 0.0;
  for (const float magnitude : magnitudes) {
    sum += magnitude;
  }
  const auto mean = static_cast<float>(sum / static_cast<double>(layout.groups));
  for (float& magnitude : magnitudes) {
    // Magnitudes are all positive; without their mean they use both signs of the map (QLoRA,
    // section 3).
    magnitude -= mean;
  }
  for (int64_t block = 0; block < layout.blocks; ++block) {
    const int64_t first = block * kScalesOfBlock;
    const int64_t count = std::min(kScalesOfBlock, layout.groups - first);
    const float scale = LargestMagnitude(magnitudes.data() + first, count);
    for (int64_t i = first; i < first + count; ++i) {
      const float wanted = scale == 0.0F ? 0.0F : magnitudes[static_cast<size_t>(i)] / scale;
      out[i] = static_cast<std::byte>(Nearest(DynamicMap(), wanted));
    }
    std::memcpy(out + layout.block_scales + block * kFloatBytes, &scale, sizeof(scale));
  }
  std::memcpy(out + layout.mean, &mean, sizeof(mean));
}

void Quantize(const WeightMatrix& shape, const float* weights, const PackedBuffers& out) {
  Nf4DoubleQuantizer quantizer(shape);
  quantizer.Add(weights, shape.rows, out.packed);
  quantizer.Finish(out.scales);
}

void DequantizeNf4Double(const WeightMatrix& matrix, int64_t first, int64_t end, float* out) {
  const ScaleLayout layout(matrix);
  const int64_t group = GroupColumns(matrix);
  const int64_t groups_of_row = GroupsOfRow(matrix);
  const float mean = FloatAt(matrix.scales + layout.mean);
  for (int64_t i = first * groups_of_row; i < end * groups_of_row; ++i) {
    const float block_scale =
        FloatAt(matrix.scales + layout.block_scales + i / kScalesOfBlock * kFloatBytes);
    const float scale =
        DynamicMap()[std::to_integer<size_t>(matrix.scales[i])] * block_scale + mean;
    std::array<float, 16> levels = Nf4Values();
    for (float& level : levels) {
      level *= scale;
    }
    const std::byte* codes = matrix.packed + i * group / 2;
    for (int64_t pair = 0; pair < group / 2; ++pair) {
      const auto byte = std::to_integer<size_t>(codes[pair]);
      *out++ = levels[byte >> 4];
      *out++ = levels[byte & 15];
    }
  }
}

}  // namespace

Nf4DoubleQuantizer::Nf4DoubleQuantizer(const WeightMatrix& shape) : shape_(shape) {
  magnitudes_.reserve(static_cast<size_t>(ScaleLayout(shape).groups));
}

void Nf4DoubleQuantizer::Add(const float* weights, int64_t rows, std::byte* out) {
  const int64_t group = GroupColumns(shape_);
  for (int64_t i = 0; i < rows * GroupsOfRow(shape_); ++i) {
    const float* values = weights + i * group;
    const float magnitude = LargestMagnitude(values, group);
    magnitudes_.push_back(magnitude);
    const auto code = [&](int64_t column) {
      return Nearest(Nf4Values(), magnitude == 0.0F ? 0.0F : values[column] / magnitude);
    };
    for (int64_t column = 0; column < group; column += 2) {
      out[(i * group + column) / 2] = static_cast<std::byte>(code(column) << 4 | code(column + 1));
    }
  }
}

void Nf4DoubleQuantizer::Finish(std::byte* out) {
  const ScaleLayout layout(shape_);
  WATTLE_CHECK(static_cast<int64_t>(magnitudes_.size()) == layout.groups, "all rows came");
  std::memset(out, 0, static_cast<size_t>(Nf4DoubleStored(shape_).scales));
  QuantizeScales(layout, magnitudes_, out);
}

const std::array<float, 16>& Nf4Values() {
  static constexpr std::array<float, 16> kValues = {-1.0F,
                                                    -0.6961928009986877F,
                                                    -0.5250730514526367F,
                                                    -0.39491748809814453F,
                                                    -0.28444138169288635F,
                                                    -0.18477343022823334F,
                                                    -0.09105003625154495F,
                                                    0.0F,
                                                    0.07958029955625534F,
                                                    0.16093020141124725F,
                                                    0.24611230194568634F,
                                                    0.33791524171829224F,
                                                    0.44070982933044434F,
                                                    0.5626170039176941F,
                                                    0.7229568362236023F,
                                                    1.0F};
  return kValues;
}

const std::array<float, 256>& DynamicMap() {
  static const std::array<float, 256> kMap = [] {
    constexpr int kExponents = 7;
    std::array<float, 256> map{};
    size_t next = 0;
    map[next++] = 0.0F;
    map[next++] = 1.0F;
    for (int i = 0; i < kExponents; ++i) {
      const int fractions = 1 << i;
      for (int k = 0; k < fractions; ++k) {
        // The centres of `fractions` equal parts of 0.1 to 1.
        const double middle = 0.1 + 0.9 * (k + 0.5) / fractions;
        const auto value = static_cast<float>(std::pow(10.0, i - kExponents + 1) * middle);
        map[next++] = value;
        map[next++] = -value;
      }
    }
    std::sort(map.begin(), map.end());
    // See DynamicMap in nf4_double.h.
    map.front() = -1.0F;
    return map;
  }();
  return kMap;
}

const FormatOperations& Nf4DoubleOperations() {
  static constexpr FormatOperations kOperations = {.scheme = WeightScheme::kNf4DoubleQuantized,
                                                   .name = "nf4dq",
                                                   .bits = 4,
                                                   .group_sizes = kGroupSizes,
                                                   .stored_bytes = Nf4DoubleStored,
                                                   .codec = nullptr,
                                                   .pack = nullptr,
                                                   .quantize = Quantize,
                                                   .dequantize = DequantizeNf4Double};
  return kOperations;
}

}  // namespace wattle::kernels
