// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sixteen lanes in AVX2 as two halves of eight (lanes_portable.h defines each operation). If the
// processor has AVX-VNNI (WATTLE_LANES_AVX_VNNI), 128 is added to signed weights for its unsigned
// product; without AVX-VNNI, products of pairs are summed in 16 bits, which signed bytes in [-127,
// 127] cannot overflow.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_AVX2_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_AVX2_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace wattle::kernels {
namespace {

struct F {
  __m256 lo, hi;
};
struct I {
  __m256i lo, hi;
};
struct W {
  __m256i lo, hi;
};
struct WideProduct {
  I high, low;
};

constexpr int kInputBlock = 4;
constexpr int kFloatPanels = 2;
constexpr int kFloatDots = 16;
using WordSums = void;
using InputQuads = void;

inline F Set(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
inline F Load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
inline void Store(float* to, F a) {
  _mm256_storeu_ps(to, a.lo);
  _mm256_storeu_ps(to + 8, a.hi);
}
inline F Add(F a, F b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline F Sub(F a, F b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline F Mul(F a, F b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline F Div(F a, F b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline F MulAdd(F a, F b, F c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline F Max(F a, F b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline F Min(F a, F b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
inline F Abs(F a) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
  return {_mm256_and_ps(a.lo, mask), _mm256_and_ps(a.hi, mask)};
}
inline float ReduceAdd(F a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
inline float ReduceMax(F a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  __m128 most = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  most = _mm_max_ps(most, _mm_movehl_ps(most, most));
  return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}
inline __m256 PowerOfTwoHalf(__m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
inline F PowerOfTwo(F n) {
  return {PowerOfTwoHalf(n.lo), PowerOfTwoHalf(n.hi)};
}
inline __m128i LoadEight(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
inline F LoadHalves(const uint16_t* from) {
  return {_mm256_cvtph_ps(LoadEight(from)), _mm256_cvtph_ps(LoadEight(from + 8))};
}
constexpr float kSmallHalf = 1.0F;
inline F LoadSmallHalves(const uint16_t* from) {
  return LoadHalves(from);
}
// BF16 numbers: each is the upper half of a float.
inline F LoadBfloats(const uint16_t* from) {
  const auto widen = [](__m128i halves) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  };
  return {widen(LoadEight(from)), widen(LoadEight(from + 8))};
}
inline I WidenInt8(const int8_t* from) {
  const __m128i bytes = LoadEight(from);
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
inline F ToFloat(I a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
constexpr int32_t kSumBits = 0;
inline F SumToFloat(I sum) {
  return ToFloat(sum);
}
inline F LoadInt8(const int8_t* from) {
  return ToFloat(WidenInt8(from));
}

inline I SetInt(int32_t value) {
  return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)};
}
inline I AddInt(I a, I b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
inline I XorInt(I a, I b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}
inline I LoadInts(const uint32_t* from) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 8))};
}
inline void StoreInts(uint32_t* to, I a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), a.hi);
}
inline void MultiplyWideHalf(__m256i a, __m256i factors, __m256i& high, __m256i& low) {
  constexpr int kOdd = 0xAA;
  const __m256i even = _mm256_mul_epu32(a, factors);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), factors);
  high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, kOdd);
  low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), kOdd);
}
inline WideProduct MultiplyWide(I a, uint32_t factor) {
  const __m256i factors = _mm256_set1_epi32(static_cast<int32_t>(factor));
  WideProduct product;
  MultiplyWideHalf(a.lo, factors, product.high.lo, product.low.lo);
  MultiplyWideHalf(a.hi, factors, product.high.hi, product.low.hi);
  return product;
}
// Eight lanes of four words → two runs of 16 numbers.
inline void InterleaveHalf(__m256i a, __m256i b, __m256i c, __m256i d, I& first, I& second) {
  const __m256i low0 = _mm256_unpacklo_epi32(a, b);
  const __m256i high0 = _mm256_unpackhi_epi32(a, b);
  const __m256i low1 = _mm256_unpacklo_epi32(c, d);
  const __m256i high1 = _mm256_unpackhi_epi32(c, d);
  const __m256i lanes04 = _mm256_unpacklo_epi64(low0, low1);
  const __m256i lanes15 = _mm256_unpackhi_epi64(low0, low1);
  const __m256i lanes26 = _mm256_unpacklo_epi64(high0, high1);
  const __m256i lanes37 = _mm256_unpackhi_epi64(high0, high1);
  first = {_mm256_permute2x128_si256(lanes04, lanes15, 0x20),
           _mm256_permute2x128_si256(lanes26, lanes37, 0x20)};
  second = {_mm256_permute2x128_si256(lanes04, lanes15, 0x31),
            _mm256_permute2x128_si256(lanes26, lanes37, 0x31)};
}
inline void Interleave(I (&words)[4]) {
  const I a = words[0];
  const I b = words[1];
  const I c = words[2];
  const I d = words[3];
  InterleaveHalf(a.lo, b.lo, c.lo, d.lo, words[0], words[1]);
  InterleaveHalf(a.hi, b.hi, c.hi, d.hi, words[2], words[3]);
}
inline __m256 ZeroBelowHalf(__m256i bits, __m256i least, __m256 a) {
  const __m256i at_least = _mm256_cmpeq_epi32(_mm256_max_epu32(bits, least), bits);
  return _mm256_and_ps(_mm256_castsi256_ps(at_least), a);
}
inline F ZeroBelow(I bits, uint32_t least, F a) {
  const __m256i bound = _mm256_set1_epi32(static_cast<int32_t>(least));
  return {ZeroBelowHalf(bits.lo, bound, a.lo), ZeroBelowHalf(bits.hi, bound, a.hi)};
}

inline W LoadBytes(const uint8_t* from) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32))};
}
inline W LowNibbles(W bytes) {
  const __m256i mask = _mm256_set1_epi8(0xF);
  return {_mm256_and_si256(bytes.lo, mask), _mm256_and_si256(bytes.hi, mask)};
}
inline W HighNibbles(W bytes) {
  return LowNibbles({_mm256_srli_epi16(bytes.lo, 4), _mm256_srli_epi16(bytes.hi, 4)});
}
template <int kQuad>
inline W SixBits(W nibbles, W upper) {
  nibbles = kQuad % 2 == 0 ? LowNibbles(nibbles) : HighNibbles(nibbles);
  const auto join = [](__m256i lower, __m256i bits) {
    constexpr int kShift = kQuad < 2 ? 4 - 2 * kQuad : 2 * kQuad - 4;
    const __m256i shifted =
        kQuad < 2 ? _mm256_slli_epi16(bits, kShift) : _mm256_srli_epi16(bits, kShift);
    return _mm256_or_si256(lower, _mm256_and_si256(shifted, _mm256_set1_epi8(0x30)));
  };
  return {join(nibbles.lo, upper.lo), join(nibbles.hi, upper.hi)};
}
inline __m256i Quad(const int8_t* inputs) {
  int32_t quad = 0;
  std::memcpy(&quad, inputs, sizeof(quad));
  return _mm256_set1_epi32(quad);
}

#ifdef WATTLE_LANES_AVX_VNNI
constexpr int32_t kSignedRaise = 128;
inline W Raise(W weights) {
  const __m256i raise = _mm256_set1_epi8(static_cast<char>(0x80));
  return {_mm256_xor_si256(weights.lo, raise), _mm256_xor_si256(weights.hi, raise)};
}
inline I DotNibbles(I sum, W weights, const int8_t* inputs) {
  const __m256i quad = Quad(inputs);
  return {_mm256_dpbusd_avx_epi32(sum.lo, weights.lo, quad),
          _mm256_dpbusd_avx_epi32(sum.hi, weights.hi, quad)};
}
inline I DotSigned(I sum, W weights, const int8_t* inputs) {
  return DotNibbles(sum, weights, inputs);
}
#else
constexpr int32_t kSignedRaise = 0;
inline W Raise(W weights) {
  return weights;
}
inline __m256i AddPairs(__m256i sum, __m256i pairs) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
inline I DotNibbles(I sum, W weights, const int8_t* inputs) {
  const __m256i quad = Quad(inputs);
  return {AddPairs(sum.lo, _mm256_maddubs_epi16(weights.lo, quad)),
          AddPairs(sum.hi, _mm256_maddubs_epi16(weights.hi, quad))};
}
// A weight may be -128, which cannot be negated; an input is at least -127.
inline __m256i SignedPairs(__m256i weights, __m256i quad) {
  return _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(quad, weights));
}
inline I DotSigned(I sum, W weights, const int8_t* inputs) {
  const __m256i quad = Quad(inputs);
  return {AddPairs(sum.lo, SignedPairs(weights.lo, quad)),
          AddPairs(sum.hi, SignedPairs(weights.hi, quad))};
}
#endif

struct Table {
  __m256i v;
};
inline Table MakeTable(const int8_t* levels) {
  const __m256i both = _mm256_broadcastsi128_si256(LoadEight(levels));
  return {Raise({both, both}).lo};
}
inline W LookUp(const Table& table, W nibbles) {
  return {_mm256_shuffle_epi8(table.v, nibbles.lo), _mm256_shuffle_epi8(table.v, nibbles.hi)};
}

inline void StoreRounded(int8_t* to, F a) {
  const __m256 shift = _mm256_set1_ps(12582912.0F);
  const __m256i byte = _mm256_set1_epi32(0xFF);
  const __m256i lo = _mm256_and_si256(_mm256_castps_si256(_mm256_add_ps(a.lo, shift)), byte);
  const __m256i hi = _mm256_and_si256(_mm256_castps_si256(_mm256_add_ps(a.hi, shift)), byte);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xD8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(to),
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
inline int32_t SumBytes(const int8_t* from) {
  const I wide = WidenInt8(from);
  const __m256i eight = _mm256_add_epi32(wide.lo, wide.hi);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
  return _mm_cvtsi128_si32(four);
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_AVX2_H_
