// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sixteen lanes in NEON as four registers (lanes_portable.h defines each operation). With the dot
// product (ARMv8.2: Cortex-A76) four columns take one instruction; without it (Cortex-A72) products
// are first summed in 16 bits, as many as bytes in [-127, 127] cannot overflow: two, or more if the
// weights are nibbles.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_NEON_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_NEON_H_

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace wattle::kernels {
namespace {

struct F {
  float32x4_t v[4];
};
struct I {
  int32x4_t v[4];
};
struct W {
  int8x16_t v[4];
};
struct WideProduct {
  I high, low;
};

constexpr int32_t kSignedRaise = 0;
constexpr int kInputBlock = 4;
constexpr int kFloatPanels = 1;
constexpr int kFloatDots = 4;

template <typename Function>
inline F Each(Function function) {
  return {{function(0), function(1), function(2), function(3)}};
}

inline F Set(float value) {
  return Each([&](int) { return vdupq_n_f32(value); });
}
inline F Load(const float* from) {
  return Each([&](int i) { return vld1q_f32(from + 4 * i); });
}
inline void Store(float* to, F a) {
  for (int i = 0; i < 4; ++i) {
    vst1q_f32(to + 4 * i, a.v[i]);
  }
}
inline F Add(F a, F b) {
  return Each([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
inline F Sub(F a, F b) {
  return Each([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
inline F Mul(F a, F b) {
  return Each([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
inline F Div(F a, F b) {
  return Each([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
inline F MulAdd(F a, F b, F c) {
  return Each([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
// By comparison, because NEON's own maximum treats NaN differently than x86.
inline F Max(F a, F b) {
  return Each([&](int i) { return vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
inline F Min(F a, F b) {
  return Each([&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
inline F Abs(F a) {
  return Each([&](int i) { return vabsq_f32(a.v[i]); });
}
inline float ReduceAdd(F a) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float ReduceMax(F a) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[2]), vmaxq_f32(a.v[1], a.v[3])));
}
inline F PowerOfTwo(F n) {
  return Each([&](int i) {
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n.v[i]), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
  });
}
inline F LoadHalves(const uint16_t* from) {
  return Each([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + 4 * i))); });
}
// The conversion takes the one slow unit of a Cortex-A76 for two cycles. Instead, two cheap
// instructions shift exponent and fraction up by thirteen bits, to their places in a float, and
// keep the first copy of the sign above them. The exponent has a bias of 15 but is read with one of
// 127, so the result is the number times 2^-112, including subnormal numbers. Infinity and NaN
// would become finite, but no model with such weights is loaded (tensor_files.h).
constexpr float kSmallHalf = 0x1p-112F;
inline F LoadSmallHalves(const uint16_t* from) {
  const int16x8_t low = vreinterpretq_s16_u16(vld1q_u16(from));
  const int16x8_t high = vreinterpretq_s16_u16(vld1q_u16(from + 8));
  const int32x4_t parts[4] = {vshll_n_s16(vget_low_s16(low), 13), vshll_high_n_s16(low, 13),
                              vshll_n_s16(vget_low_s16(high), 13), vshll_high_n_s16(high, 13)};
  return Each(
      [&](int i) { return vreinterpretq_f32_s32(vbicq_s32(parts[i], vdupq_n_s32(0x70000000))); });
}
// BF16 numbers: each is the upper half of a float.
inline F LoadBfloats(const uint16_t* from) {
  const uint16x8_t low = vld1q_u16(from);
  const uint16x8_t high = vld1q_u16(from + 8);
  return {{vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(low), 16)),
           vreinterpretq_f32_u32(vshll_high_n_u16(low, 16)),
           vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(high), 16)),
           vreinterpretq_f32_u32(vshll_high_n_u16(high, 16))}};
}
inline F ToFloat(I a) {
  return Each([&](int i) { return vcvtq_f32_s32(a.v[i]); });
}
// The bits of 1.5 · 2^23, a float whose last bit has value one: adding an integer to these bits
// adds it to the float, and one subtraction returns the integer as a float. A conversion takes four
// times as long.
constexpr int32_t kSumBits = 0x4B400000;
inline F SumToFloat(I sum) {
  return Each(
      [&](int i) { return vsubq_f32(vreinterpretq_f32_s32(sum.v[i]), vdupq_n_f32(12582912.0F)); });
}
inline F LoadInt8(const int8_t* from) {
  const int8x16_t bytes = vld1q_s8(from);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
  const int16x8_t high = vmovl_high_s8(bytes);
  const int32x4_t bits = vdupq_n_s32(kSumBits);
  return SumToFloat({{vaddw_s16(bits, vget_low_s16(low)), vaddw_high_s16(bits, low),
                      vaddw_s16(bits, vget_low_s16(high)), vaddw_high_s16(bits, high)}});
}

inline I SetInt(int32_t value) {
  const int32x4_t lane = vdupq_n_s32(value);
  return {{lane, lane, lane, lane}};
}
inline I AddInt(I a, I b) {
  for (int i = 0; i < 4; ++i) {
    a.v[i] = vaddq_s32(a.v[i], b.v[i]);
  }
  return a;
}
inline I XorInt(I a, I b) {
  for (int i = 0; i < 4; ++i) {
    a.v[i] = veorq_s32(a.v[i], b.v[i]);
  }
  return a;
}
inline I LoadInts(const uint32_t* from) {
  I a;
  for (int i = 0; i < 4; ++i) {
    a.v[i] = vreinterpretq_s32_u32(vld1q_u32(from + 4 * i));
  }
  return a;
}
inline void StoreInts(uint32_t* to, I a) {
  for (int i = 0; i < 4; ++i) {
    vst1q_u32(to + 4 * i, vreinterpretq_u32_s32(a.v[i]));
  }
}
inline WideProduct MultiplyWide(I a, uint32_t factor) {
  WideProduct product;
  for (int i = 0; i < 4; ++i) {
    const uint32x4_t four = vreinterpretq_u32_s32(a.v[i]);
    const uint32x4_t first = vreinterpretq_u32_u64(vmull_n_u32(vget_low_u32(four), factor));
    const uint32x4_t last = vreinterpretq_u32_u64(vmull_n_u32(vget_high_u32(four), factor));
    product.low.v[i] = vreinterpretq_s32_u32(vuzp1q_u32(first, last));
    product.high.v[i] = vreinterpretq_s32_u32(vuzp2q_u32(first, last));
  }
  return product;
}
inline void Interleave(I (&words)[4]) {
  const I a = words[0];
  const I b = words[1];
  const I c = words[2];
  const I d = words[3];
  for (int i = 0; i < 4; ++i) {
    const int32x4_t low0 = vzip1q_s32(a.v[i], b.v[i]);
    const int32x4_t high0 = vzip2q_s32(a.v[i], b.v[i]);
    const int32x4_t low1 = vzip1q_s32(c.v[i], d.v[i]);
    const int32x4_t high1 = vzip2q_s32(c.v[i], d.v[i]);
    words[i].v[0] = vcombine_s32(vget_low_s32(low0), vget_low_s32(low1));
    words[i].v[1] = vcombine_s32(vget_high_s32(low0), vget_high_s32(low1));
    words[i].v[2] = vcombine_s32(vget_low_s32(high0), vget_low_s32(high1));
    words[i].v[3] = vcombine_s32(vget_high_s32(high0), vget_high_s32(high1));
  }
}
inline F ZeroBelow(I bits, uint32_t least, F a) {
  return Each([&](int i) {
    const uint32x4_t at_least = vcgeq_u32(vreinterpretq_u32_s32(bits.v[i]), vdupq_n_u32(least));
    return vreinterpretq_f32_u32(vandq_u32(at_least, vreinterpretq_u32_f32(a.v[i])));
  });
}

inline W LoadBytes(const uint8_t* from) {
  const auto* bytes = reinterpret_cast<const int8_t*>(from);
  return {{vld1q_s8(bytes), vld1q_s8(bytes + 16), vld1q_s8(bytes + 32), vld1q_s8(bytes + 48)}};
}
inline W Raise(W weights) {
  return weights;
}
inline W LowNibbles(W bytes) {
  for (int8x16_t& part : bytes.v) {
    part = vandq_s8(part, vdupq_n_s8(0xF));
  }
  return bytes;
}
inline W HighNibbles(W bytes) {
  for (int8x16_t& part : bytes.v) {
    part = vreinterpretq_s8_u8(vshrq_n_u8(vreinterpretq_u8_s8(part), 4));
  }
  return bytes;
}
// Inserting shifts and a bit select replace masks: eight instructions for the four quads of a
// register, of which the first and the third share a mask.
template <int kQuad>
inline W SixBits(W nibbles, W upper) {
  for (int i = 0; i < 4; ++i) {
    const uint8x16_t lower = vreinterpretq_u8_s8(nibbles.v[i]);
    const uint8x16_t bits = vreinterpretq_u8_s8(upper.v[i]);
    const uint8x16_t even = vandq_u8(bits, vdupq_n_u8(0x33));
    uint8x16_t codes;
    if constexpr (kQuad == 0) {
      codes = vsliq_n_u8(lower, even, 4);
    } else if constexpr (kQuad == 1) {
      codes = vsriq_n_u8(vandq_u8(vshlq_n_u8(bits, 2), vdupq_n_u8(0x30)), lower, 4);
    } else if constexpr (kQuad == 2) {
      codes = vbslq_u8(vdupq_n_u8(0xF), lower, even);
    } else {
      codes = vsriq_n_u8(vshrq_n_u8(bits, 2), lower, 4);
    }
    nibbles.v[i] = vreinterpretq_s8_u8(codes);
  }
  return nibbles;
}
struct Table {
  int8x16_t v;
};
inline Table MakeTable(const int8_t* levels) {
  return {vld1q_s8(levels)};
}
inline W LookUp(const Table& table, W nibbles) {
  for (int8x16_t& part : nibbles.v) {
    part = vqtbl1q_s8(table.v, vreinterpretq_u8_s8(part));
  }
  return nibbles;
}
inline int8x16_t Quad(const int8_t* inputs) {
  int32_t quad = 0;
  std::memcpy(&quad, inputs, sizeof(quad));
  return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}
inline I DotSigned(I sum, W weights, const int8_t* inputs) {
  const int8x16_t quad = Quad(inputs);
  for (int i = 0; i < 4; ++i) {
#ifdef __ARM_FEATURE_DOTPROD
    sum.v[i] = vdotq_s32(sum.v[i], weights.v[i], quad);
#else
    const int16x8_t low = vmull_s8(vget_low_s8(weights.v[i]), vget_low_s8(quad));
    const int16x8_t high = vmull_high_s8(weights.v[i], quad);
    sum.v[i] = vpadalq_s16(sum.v[i], vpaddq_s16(low, high));
#endif
  }
  return sum;
}
inline I DotNibbles(I sum, W weights, const int8_t* inputs) {
  return DotSigned(sum, weights, inputs);
}

#ifdef __ARM_FEATURE_DOTPROD
using WordSums = void;

// Sixteen columns of a row of inputs, loaded once: the dot product selects four of them by index,
// which saves copying four columns to a whole register.
struct InputQuads {
  int8x16_t v;

  explicit InputQuads(const int8_t* inputs) : v(vld1q_s8(inputs)) {}
  // sum and the products of weights with columns 4 kQuad to 4 kQuad + 3.
  template <int kQuad>
  [[nodiscard]] I AddedTo(I sum, W weights) const {
    for (int i = 0; i < 4; ++i) {
      sum.v[i] = vdotq_laneq_s32(sum.v[i], weights.v[i], v, kQuad);
    }
    return sum;
  }
};
#else
using InputQuads = void;

// Sums of products in 16 bits: for row r of register i, the sum over its columns c, c + 4, … is in
// lane 4 (r % 2) + c of low[i] (the first two rows) or high[i]. The caller keeps them within
// [-32768, 32767].
struct WordSums {
  int16x8_t low[4];
  int16x8_t high[4];

  WordSums(W weights, const int8_t* inputs) {
    const int8x16_t quad = Quad(inputs);
    for (int i = 0; i < 4; ++i) {
      low[i] = vmull_s8(vget_low_s8(weights.v[i]), vget_low_s8(quad));
      high[i] = vmull_high_s8(weights.v[i], quad);
    }
  }
  void Add(W weights, const int8_t* inputs) {
    const int8x16_t quad = Quad(inputs);
    for (int i = 0; i < 4; ++i) {
      low[i] = vmlal_s8(low[i], vget_low_s8(weights.v[i]), vget_low_s8(quad));
      high[i] = vmlal_high_s8(high[i], weights.v[i], quad);
    }
  }
  // sum plus the sums over all columns; two neighbours are added in 16 bits.
  [[nodiscard]] I AddedTo(I sum) const {
    for (int i = 0; i < 4; ++i) {
      sum.v[i] = vpadalq_s16(sum.v[i], vpaddq_s16(low[i], high[i]));
    }
    return sum;
  }
  // Same in two parts, for sums whose neighbours do not fit in 16 bits.
  void AddTo(I& low_sum, I& high_sum) const {
    for (int i = 0; i < 4; ++i) {
      low_sum.v[i] = vpadalq_s16(low_sum.v[i], low[i]);
      high_sum.v[i] = vpadalq_s16(high_sum.v[i], high[i]);
    }
  }
  static I Joined(I low_sum, I high_sum) {
    for (int i = 0; i < 4; ++i) {
      low_sum.v[i] = vpaddq_s32(low_sum.v[i], high_sum.v[i]);
    }
    return low_sum;
  }
};
#endif

inline void StoreRounded(int8_t* to, F a) {
  int16x4_t words[4];
  for (int i = 0; i < 4; ++i) {
    words[i] = vmovn_s32(vreinterpretq_s32_f32(vaddq_f32(a.v[i], vdupq_n_f32(12582912.0F))));
  }
  const int8x8_t low = vmovn_s16(vcombine_s16(words[0], words[1]));
  const int8x8_t high = vmovn_s16(vcombine_s16(words[2], words[3]));
  vst1q_s8(to, vcombine_s8(low, high));
}
inline int32_t SumBytes(const int8_t* from) {
  return vaddlvq_s8(vld1q_s8(from));
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_NEON_H_
