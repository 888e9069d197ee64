// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sixteen lanes in AVX-512 with VNNI (lanes_portable.h says what each operation means). VNNI
// multiplies unsigned by signed bytes: signed weights are raised by 128.
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

constexpr int32_t kSignedRaise = 128;
constexpr int kInputBlock = 8;
using WordSums = void;

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
inline F ToFloat(I a) {
  return _mm512_cvtepi32_ps(a);
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
