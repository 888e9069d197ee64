// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The product of int6, whose blocks and lines differ from those of the other formats. Included once
// per instruction set, after the lanes of that set.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_SIX_BITS_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_SIX_BITS_INL_H_

#include <cstdint>
#include <type_traits>

#include "worker/engine/kernels/isa/products_inl.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kSixBitGroup = 16;      // columns; the inputs' groups have the same size
constexpr int64_t kGroupsOfSixBits = 16;  // groups in a block, which has one more scale
constexpr int32_t kSixBitRaise = 32;

// Three lines have sixteen columns: two lines the lower four bits, the third the upper two bits.
struct SixBitLines {
  static constexpr int64_t kBytes = 3 * kLineBytes;

  template <int kQuad>
  [[nodiscard]] W At(const uint8_t* line) const {
    const uint8_t* of_quad = line + kQuad / 2 * kLineBytes;
    if constexpr (kQuad < 3) {
      __builtin_prefetch(line + kQuad * kLineBytes + kPrefetchBytes);
    }
    return SixBits<kQuad>(LoadBytes(of_quad), LoadBytes(line + 2 * kLineBytes));
  }
};

// Four products of at most 63 · 127 sum to 32004 < 2^15. first: even.
template <typename Words, int kInputs>
inline void SixBitWordDots(const uint8_t* line, const int8_t* codes, int64_t code_stride,
                           const int32_t (&first)[kInputs], I (&sums)[kInputs]) {
  constexpr SixBitLines kLines;
  const W weights[4] = {kLines.At<0>(line), kLines.At<1>(line), kLines.At<2>(line),
                        kLines.At<3>(line)};
  for (int t = 0; t < kInputs; ++t) {
    Words words(weights[0], codes);
    words.Add(weights[1], codes + 4);
    words.Add(weights[2], codes + 8);
    words.Add(weights[3], codes + 12);
    I low = SetInt(first[t] / 2);  // a sum is joined from two lanes of low or of high
    I high = low;
    words.AddTo(low, high);
    sums[t] = Words::Joined(low, high);
    codes += code_stride;
  }
}

// Sums over a group of columns, for some rows of inputs, starting with `first`.
template <int kInputs>
inline void SixBitDots(const uint8_t* line, const int8_t* codes, int64_t code_stride,
                       const int32_t (&first)[kInputs], I (&sums)[kInputs]) {
  if constexpr (!std::is_void_v<WordSums>) {
    SixBitWordDots<WordSums>(line, codes, code_stride, first, sums);
    return;
  }
  for (int t = 0; t < kInputs; ++t) {
    sums[t] = SetInt(first[t]);
  }
  if constexpr (!std::is_void_v<InputQuads>) {
    AddQuadDots<1, InputQuads>(SixBitLines{}, line, codes, code_stride, kSixBitGroup, sums);
    return;
  }
  const auto add = [&]<int kQuad>() {
    const W weights = SixBitLines{}.At<kQuad>(line);
    for (int t = 0; t < kInputs; ++t) {
      sums[t] = DotNibbles(sums[t], weights, codes + t * code_stride + 4 * kQuad);
    }
  };
  add.template operator()<0>();
  add.template operator()<1>();
  add.template operator()<2>();
  add.template operator()<3>();
}

template <int kInputs>
inline void SixBitPanel(const Product& p, int64_t panel, int64_t input) {
  constexpr int64_t kScaleBytes = kLanes * (2 + kGroupsOfSixBits);
  const InputRows& in = p.inputs;
  const int64_t blocks = in.groups / kGroupsOfSixBits;
  const auto* line =
      static_cast<const uint8_t*>(p.packed) + panel * in.groups * SixBitLines::kBytes;
  const auto* scales = static_cast<const uint8_t*>(p.scales) + panel * blocks * kScaleBytes;
  const int8_t* codes = in.codes + input * in.code_stride;
  F sums[kInputs];
  for (F& sum : sums) {
    sum = Set(0.0F);
  }
  for (int64_t block = 0; block < blocks; ++block, scales += kScaleBytes) {
    const F of_block = LoadHalves(reinterpret_cast<const uint16_t*>(scales));
    const auto* of_groups = reinterpret_cast<const int8_t*>(scales + 2 * kLanes);
    for (int64_t g = block * kGroupsOfSixBits; g < (block + 1) * kGroupsOfSixBits; ++g) {
      const F scale = Mul(of_block, LoadInt8(of_groups));
      of_groups += kLanes;
      int32_t first[kInputs];
      for (int t = 0; t < kInputs; ++t) {
        first[t] = kSumBits - kSixBitRaise * in.sums[(input + t) * in.groups + g];
      }
      I dots[kInputs];
      SixBitDots<kInputs>(line, codes, in.code_stride, first, dots);
      line += SixBitLines::kBytes;
      codes += kSixBitGroup;
      for (int t = 0; t < kInputs; ++t) {
        const F of_input = Set(in.scales[(input + t) * in.groups + g]);
        sums[t] = Add(sums[t], Mul(SumToFloat(dots[t]), Mul(scale, of_input)));
      }
    }
  }
  for (int t = 0; t < kInputs; ++t) {
    StorePanel(p, panel, input + t, sums[t]);
  }
}

inline void Int6Product(const Product& p, int64_t first_panel, int64_t end_panel) {
  for (int64_t panel = first_panel; panel < end_panel; ++panel) {
    OverInputs(p.inputs.count,
               [&]<int kInputs>(int64_t input) { SixBitPanel<kInputs>(p, panel, input); });
  }
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_SIX_BITS_INL_H_
