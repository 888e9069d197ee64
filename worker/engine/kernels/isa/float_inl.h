// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of rounded factors for processors without 16-bit products: a factor is rounded while it
// is packed, and stored and multiplied in FP32. The reference for the paths with 16-bit storage. A
// packed panel is [terms][16 lanes]. Uses the sixteen lanes, and is compiled with the flags of the
// file that includes this one.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_INL_H_

#include <cstdint>
#include <cstring>

#include "worker/engine/kernels/isa/float_kernels.h"

namespace wattle::kernels {
namespace {

// To the nearest BF16, ties to even. Values below the smallest normal number become zero, as in the
// BF16 units of x86; values that are too large become infinite; NaN stays NaN.
struct RoundBf16 {
  float operator()(float value) const {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    const uint32_t magnitude = bits & 0x7FFFFFFFU;
    const uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) & 0xFFFF0000U;
    const uint32_t quiet = (bits | 0x00400000U) & 0xFFFF0000U;
    const uint32_t finite = magnitude < 0x00800000U ? bits & 0x80000000U : rounded;
    bits = magnitude > 0x7F800000U ? quiet : finite;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
};

// To the nearest FP16, ties to even, subnormals included; 65520 and above become infinite.
struct RoundFp16 {
  float operator()(float value) const {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    const uint32_t sign = bits & 0x80000000U;
    const uint32_t magnitude = bits & 0x7FFFFFFFU;
    float positive = 0.0F;
    std::memcpy(&positive, &magnitude, sizeof(positive));
    // Below 2^-14 FP16 numbers are multiples of 2^-24, like FP32 numbers from 0.5 on.
    const float stepped = (positive + 0.5F) - 0.5F;
    uint32_t subnormal = 0;
    std::memcpy(&subnormal, &stepped, sizeof(subnormal));
    const uint32_t normal = (magnitude + 0xFFFU + ((magnitude >> 13) & 1U)) & 0xFFFFE000U;
    const uint32_t finite = magnitude < 0x38800000U ? subnormal : normal;
    const uint32_t large = magnitude > 0x7F800000U ? 0x7FC00000U : 0x7F800000U;
    bits = sign | (magnitude >= 0x477FF000U ? large : finite);
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
};

template <typename Round>
inline void PackAsFloat(const FloatPanel& panel) {
  const Round round;
  auto* out = static_cast<float*>(panel.packed);
  const int64_t padded =
      (panel.terms + kFloatTermMultiple - 1) / kFloatTermMultiple * kFloatTermMultiple;
  for (int64_t t = 0; t < panel.terms; ++t) {
    const float* from = panel.values + t * panel.term_stride;
    float* to = out + t * kFloatLanes;
    for (int64_t lane = 0; lane < panel.lanes; ++lane) {
      to[lane] = round(from[lane * panel.lane_stride]);
    }
    for (int64_t lane = panel.lanes; lane < kFloatLanes; ++lane) {
      to[lane] = 0.0F;
    }
  }
  std::memset(out + panel.terms * kFloatLanes, 0,
              static_cast<size_t>((padded - panel.terms) * kFloatLanes) * sizeof(float));
}

// kRows rows from `row` on times one panel of columns.
template <int kRows>
inline void MultiplyFloatRows(const FloatStrip& strip, int64_t row, int64_t first_column) {
  const auto* left = static_cast<const float*>(strip.left) +
                     row / kFloatLanes * kFloatLanes * strip.terms + row % kFloatLanes;
  const auto* right = static_cast<const float*>(strip.right) + first_column * strip.terms;
  F sums[kRows];
  for (int i = 0; i < kRows; ++i) {
    sums[i] = Set(0.0F);
  }
  for (int64_t t = 0; t < strip.terms; ++t) {
    const F columns = Load(right + t * kFloatLanes);
    for (int i = 0; i < kRows; ++i) {
      sums[i] = MulAdd(Set(left[t * kFloatLanes + i]), columns, sums[i]);
    }
  }
  const int64_t count =
      strip.columns - first_column < kFloatLanes ? strip.columns - first_column : kFloatLanes;
  for (int i = 0; i < kRows && row + i < strip.rows; ++i) {
    float line[kFloatLanes];
    Store(line, sums[i]);
    float* out = strip.out + (row + i) * strip.out_stride + first_column;
    const float* initial = strip.initial == nullptr
                               ? nullptr
                               : strip.initial + (row + i) * strip.initial_stride + first_column;
    for (int64_t column = 0; column < count; ++column) {
      out[column] = (initial == nullptr ? 0.0F : initial[column]) + line[column];
    }
  }
}

inline void MultiplyAsFloat(const FloatStrip& strip) {
  static_assert(kFloatLanes % kInputBlock == 0, "a block of rows lies in one panel");
  for (int64_t row = 0; row < strip.rows; row += kInputBlock) {
    for (int64_t column = 0; column < strip.columns; column += kFloatLanes) {
      MultiplyFloatRows<kInputBlock>(strip, row, column);
    }
  }
}

[[maybe_unused]] constexpr FloatFunctions kBf16AsFloat = {
    4, PackAsFloat<RoundBf16>, PackAsFloat<RoundBf16>, MultiplyAsFloat, false};
[[maybe_unused]] constexpr FloatFunctions kFp16AsFloat = {
    4, PackAsFloat<RoundFp16>, PackAsFloat<RoundFp16>, MultiplyAsFloat, false};

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_INL_H_
