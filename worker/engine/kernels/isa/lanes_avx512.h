// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sixteen lanes in AVX-512 with VNNI (lanes_portable.h defines each operation). VNNI multiplies
// unsigned by signed bytes, so 128 is added to signed weights.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_AVX512_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_AVX512_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace wattle::kernels {
namespace {

using F = __m512;
using I = __m512i;
struct W {
  __m512i v;
};
struct WideProduct {
  I high, low;
};

constexpr int32_t kSignedRaise = 128;
constexpr int kInputBlock = 8;
constexpr int kFloatPanels = 2;
constexpr int kFloatDots = 16;
using WordSums = void;
using InputQuads = void;

inline F Set(float value) {
  return _mm512_set1_ps(value);
}
inline F Load(const float* from) {
  return _mm512_loadu_ps(from);
}
inline void Store(float* to, F a) {
  _mm512_storeu_ps(to, a);
}
inline F Add(F a, F b) {
  return _mm512_add_ps(a, b);
}
inline F Sub(F a, F b) {
  return _mm512_sub_ps(a, b);
}
inline F Mul(F a, F b) {
  return _mm512_mul_ps(a, b);
}
inline F Div(F a, F b) {
  return _mm512_div_ps(a, b);
}
inline F MulAdd(F a, F b, F c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline F Max(F a, F b) {
  return _mm512_max_ps(a, b);
}
inline F Min(F a, F b) {
  return _mm512_min_ps(a, b);
}
inline F Abs(F a) {
  return _mm512_abs_ps(a);
}
inline float ReduceAdd(F a) {
  return _mm512_reduce_add_ps(a);
}
inline float ReduceMax(F a) {
  return _mm512_reduce_max_ps(a);
}
inline F PowerOfTwo(F n) {
  const __m512i exponent = _mm512_add_epi32(_mm512_cvttps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
inline F LoadHalves(const uint16_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
constexpr float kSmallHalf = 1.0F;
inline F LoadSmallHalves(const uint16_t* from) {
  return LoadHalves(from);
}
// BF16 numbers: each is the upper half of a float.
inline F LoadBfloats(const uint16_t* from) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
inline F LoadInt8(const int8_t* from) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

inline I SetInt(int32_t value) {
  return _mm512_set1_epi32(value);
}
inline I AddInt(I a, I b) {
  return _mm512_add_epi32(a, b);
}
inline I XorInt(I a, I b) {
  return _mm512_xor_si512(a, b);
}
inline I LoadInts(const uint32_t* from) {
  return _mm512_loadu_si512(from);
}
inline void StoreInts(uint32_t* to, I a) {
  _mm512_storeu_si512(to, a);
}
inline WideProduct MultiplyWide(I a, uint32_t factor) {
  constexpr __mmask16 kOdd = 0xAAAA;
  const __m512i factors = _mm512_set1_epi32(static_cast<int32_t>(factor));
  const __m512i even = _mm512_mul_epu32(a, factors);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), factors);
  return {_mm512_mask_blend_epi32(kOdd, _mm512_srli_epi64(even, 32), odd),
          _mm512_mask_blend_epi32(kOdd, even, _mm512_slli_epi64(odd, 32))};
}
inline void Interleave(I (&words)[4]) {
  const __m512i low0 = _mm512_unpacklo_epi32(words[0], words[1]);
  const __m512i high0 = _mm512_unpackhi_epi32(words[0], words[1]);
  const __m512i low1 = _mm512_unpacklo_epi32(words[2], words[3]);
  const __m512i high1 = _mm512_unpackhi_epi32(words[2], words[3]);
  // Each quarter has the four numbers of a lane: lanes 0, 4, 8, 12 in the first register, 1, 5, 9,
  // 13 in the next.
  const __m512i lanes0 = _mm512_unpacklo_epi64(low0, low1);
  const __m512i lanes1 = _mm512_unpackhi_epi64(low0, low1);
  const __m512i lanes2 = _mm512_unpacklo_epi64(high0, high1);
  const __m512i lanes3 = _mm512_unpackhi_epi64(high0, high1);
  const __m512i first01 = _mm512_shuffle_i32x4(lanes0, lanes1, 0x44);
  const __m512i first23 = _mm512_shuffle_i32x4(lanes2, lanes3, 0x44);
  const __m512i last01 = _mm512_shuffle_i32x4(lanes0, lanes1, 0xEE);
  const __m512i last23 = _mm512_shuffle_i32x4(lanes2, lanes3, 0xEE);
  words[0] = _mm512_shuffle_i32x4(first01, first23, 0x88);
  words[1] = _mm512_shuffle_i32x4(first01, first23, 0xDD);
  words[2] = _mm512_shuffle_i32x4(last01, last23, 0x88);
  words[3] = _mm512_shuffle_i32x4(last01, last23, 0xDD);
}
inline F ZeroBelow(I bits, uint32_t least, F a) {
  return _mm512_maskz_mov_ps(
      _mm512_cmpge_epu32_mask(bits, _mm512_set1_epi32(static_cast<int32_t>(least))), a);
}
inline F ToFloat(I a) {
  return _mm512_cvtepi32_ps(a);
}
constexpr int32_t kSumBits = 0;
inline F SumToFloat(I sum) {
  return ToFloat(sum);
}

inline W LoadBytes(const uint8_t* from) {
  return {_mm512_loadu_si512(from)};
}
inline W Raise(W weights) {
  return {_mm512_xor_si512(weights.v, _mm512_set1_epi8(static_cast<char>(0x80)))};
}
inline W LowNibbles(W bytes) {
  return {_mm512_and_si512(bytes.v, _mm512_set1_epi8(0xF))};
}
inline W HighNibbles(W bytes) {
  return {_mm512_and_si512(_mm512_srli_epi16(bytes.v, 4), _mm512_set1_epi8(0xF))};
}
template <int kQuad>
inline W SixBits(W nibbles, W upper) {
  nibbles = kQuad % 2 == 0 ? LowNibbles(nibbles) : HighNibbles(nibbles);
  constexpr int kShift = kQuad < 2 ? 4 - 2 * kQuad : 2 * kQuad - 4;
  const __m512i shifted =
      kQuad < 2 ? _mm512_slli_epi16(upper.v, kShift) : _mm512_srli_epi16(upper.v, kShift);
  return {_mm512_or_si512(nibbles.v, _mm512_and_si512(shifted, _mm512_set1_epi8(0x30)))};
}
struct Table {
  __m512i v;
};
inline Table MakeTable(const int8_t* levels) {
  const __m128i once = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
  return {Raise({_mm512_broadcast_i32x4(once)}).v};
}
inline W LookUp(const Table& table, W nibbles) {
  return {_mm512_shuffle_epi8(table.v, nibbles.v)};
}
inline I DotSigned(I sum, W weights, const int8_t* inputs) {
  int32_t quad = 0;
  std::memcpy(&quad, inputs, sizeof(quad));
  return _mm512_dpbusd_epi32(sum, weights.v, _mm512_set1_epi32(quad));
}
inline I DotNibbles(I sum, W weights, const int8_t* inputs) {
  return DotSigned(sum, weights, inputs);
}

inline void StoreRounded(int8_t* to, F a) {
  const __m512i bits = _mm512_castps_si512(_mm512_add_ps(a, _mm512_set1_ps(12582912.0F)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(bits));
}
inline int32_t SumBytes(const int8_t* from) {
  return _mm512_reduce_add_epi32(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_AVX512_H_
