// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// BF16 factors in AVX-512 with its BF16 instructions. A packed panel consists of blocks of 32
// terms, 1 KiB each: [16 rows][16 pairs of terms] in a left panel, [16 pairs][16 columns] in a
// right one. Both are tiles of AMX. A pair is two neighbouring terms, the first in the lower half.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_BF16_AVX512_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_BF16_AVX512_H_

#include <immintrin.h>

#include <cstdint>

#include "worker/engine/kernels/isa/float_kernels.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kBlockPairs = 16;
constexpr int64_t kBlockWords = 16 * kBlockPairs;  // 32-bit words, each a pair

// 16 x 16 words of 32 bits.
inline void Transpose(__m512i rows[16]) {
  __m512i t[16];
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
  }
  // rows[4 i + j]: 128-bit lane L has column 4 L + j of rows 4 i to 4 i + 3.
  for (int i = 0; i < 4; ++i) {
    rows[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    rows[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    rows[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    rows[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm512_shuffle_i32x4(rows[j], rows[4 + j], 0x88);
    t[4 + j] = _mm512_shuffle_i32x4(rows[8 + j], rows[12 + j], 0x88);
    t[8 + j] = _mm512_shuffle_i32x4(rows[j], rows[4 + j], 0xDD);
    t[12 + j] = _mm512_shuffle_i32x4(rows[8 + j], rows[12 + j], 0xDD);
  }
  for (int j = 0; j < 4; ++j) {
    rows[j] = _mm512_shuffle_i32x4(t[j], t[4 + j], 0x88);
    rows[8 + j] = _mm512_shuffle_i32x4(t[j], t[4 + j], 0xDD);
    rows[4 + j] = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0x88);
    rows[12 + j] = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0xDD);
  }
}

inline __mmask16 FirstLanes(int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : count <= 0 ? 0U : (1U << count) - 1U);
}

inline __m512i RoundPairs(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// Sixteen BF16 numbers as FP32.
inline __m512 Widen(__m256i numbers) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16));
}

// Prefetch distance for a factor's values while packing. The values come from memory, and the
// hardware prefetcher does not follow sixteen lanes in as many pages.
constexpr int64_t kTermsAheadOfLanes = 64;  // in lanes
constexpr int64_t kTermsAheadOfPairs = 16;  // if each term is in a line of its own

inline void Prefetch(const float* line) {
  _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T1);
}

// A packed block of 32 terms, also during packing.
struct Block {
  __m512i lines[16];
};

// An FP32 number as the sum of kParts BF16 numbers: the nearest one, then the nearest to the
// remainder, and so on. Three of them have all 24 bits of a number above 2^-102, so that their sum
// is exactly the number.
template <int kParts>
inline void SplitPairs(__m512 low, __m512 high, __m512i (&parts)[kParts]) {
  parts[0] = RoundPairs(low, high);
  for (int part = 1; part < kParts; ++part) {
    low = _mm512_sub_ps(low, Widen(_mm512_castsi512_si256(parts[part - 1])));
    high = _mm512_sub_ps(high, Widen(_mm512_extracti64x4_epi64(parts[part - 1], 1)));
    parts[part] = RoundPairs(low, high);
  }
}

// 32 terms from `first` on, with contiguous terms → [lane][pair].
template <int kParts>
inline void LoadLanes(const FloatPanel& panel, int64_t first, Block (&blocks)[kParts]) {
  const int64_t left = panel.terms - first;
  const __mmask16 low = FirstLanes(left);
  const __mmask16 high = FirstLanes(left - 16);
  for (int64_t lane = 0; lane < 16; ++lane) {
    const float* from = panel.values + lane * panel.lane_stride + first;
    // After the last term: the same lane of the next panel.
    const float* ahead = left > kTermsAheadOfLanes
                             ? from + kTermsAheadOfLanes
                             : from + kTermsAheadOfLanes - panel.terms + 16 * panel.lane_stride;
    Prefetch(ahead);
    Prefetch(ahead + 16);
    const bool is_there = lane < panel.lanes;
    __m512i parts[kParts];
    SplitPairs(_mm512_maskz_loadu_ps(is_there ? low : static_cast<__mmask16>(0), from),
               _mm512_maskz_loadu_ps(is_there ? high : static_cast<__mmask16>(0), from + 16),
               parts);
    for (int part = 0; part < kParts; ++part) {
      blocks[part].lines[lane] = parts[part];
    }
  }
}

// 32 terms with contiguous lanes → [pair][lane].
template <int kParts>
inline void LoadPairs(const FloatPanel& panel, int64_t first, Block (&blocks)[kParts]) {
  const __m512i interleave =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __mmask16 lanes = FirstLanes(panel.lanes);
  for (int64_t pair = 0; pair < kBlockPairs; ++pair) {
    const int64_t term = first + 2 * pair;
    const float* from = panel.values + term * panel.term_stride;
    Prefetch(from + kTermsAheadOfPairs * panel.term_stride);
    Prefetch(from + (kTermsAheadOfPairs + 1) * panel.term_stride);
    const __m512 low =
        _mm512_maskz_loadu_ps(term < panel.terms ? lanes : static_cast<__mmask16>(0), from);
    const __m512 high = _mm512_maskz_loadu_ps(
        term + 1 < panel.terms ? lanes : static_cast<__mmask16>(0), from + panel.term_stride);
    __m512i parts[kParts];
    SplitPairs(low, high, parts);
    for (int part = 0; part < kParts; ++part) {
      blocks[part].lines[pair] = _mm512_permutexvar_epi16(interleave, parts[part]);
    }
  }
}

// kParts: blocks for each 32 terms, one after the other, whose sum is the factor.
template <bool kPairsFirst, int kParts>
inline void PackBf16(const FloatPanel& panel) {
  auto* out = static_cast<int32_t*>(panel.packed);
  for (int64_t first = 0; first < panel.terms; first += kFloatTermMultiple) {
    Block blocks[kParts];
    const bool pairs_first = panel.lane_stride == 1;
    if (pairs_first) {
      LoadPairs(panel, first, blocks);
    } else {
      LoadLanes(panel, first, blocks);
    }
    for (Block& block : blocks) {
      if (pairs_first != kPairsFirst) {
        Transpose(block.lines);
      }
      for (const __m512i& line : block.lines) {
        _mm512_store_si512(out, line);
        out += kBlockPairs;
      }
    }
  }
}

inline void PackBf16Left(const FloatPanel& panel) {
  PackBf16<false, 1>(panel);
}
inline void PackBf16Right(const FloatPanel& panel) {
  PackBf16<true, 1>(panel);
}

// kRows rows of a left panel times kPanels panels of columns, from `column` on.
template <int kRows, int kPanels>
inline void DotRows(const FloatStrip& strip, int64_t row, int64_t column) {
  const auto* left = static_cast<const int32_t*>(strip.left) + row / 16 * 8 * strip.terms;
  const auto* right = static_cast<const int32_t*>(strip.right) + column / 16 * 8 * strip.terms;
  __m512 sums[kRows][kPanels];
  for (int i = 0; i < kRows; ++i) {
    for (int panel = 0; panel < kPanels; ++panel) {
      sums[i][panel] = _mm512_setzero_ps();
    }
  }
  for (int64_t block = 0; block < strip.terms / kFloatTermMultiple; ++block) {
    const int32_t* left_block = left + block * kBlockWords + row % 16 * kBlockPairs;
    const int32_t* right_block = right + block * kBlockWords;
    for (int64_t pair = 0; pair < kBlockPairs; ++pair) {
      __m512bh columns[kPanels];
      for (int panel = 0; panel < kPanels; ++panel) {
        columns[panel] = reinterpret_cast<__m512bh>(
            _mm512_load_si512(right_block + panel * 8 * strip.terms + pair * 16));
      }
      for (int i = 0; i < kRows; ++i) {
        const auto both =
            reinterpret_cast<__m512bh>(_mm512_set1_epi32(left_block[i * kBlockPairs + pair]));
        for (int panel = 0; panel < kPanels; ++panel) {
          sums[i][panel] = _mm512_dpbf16_ps(sums[i][panel], both, columns[panel]);
        }
      }
    }
  }
  for (int i = 0; i < kRows && row + i < strip.rows; ++i) {
    for (int panel = 0; panel < kPanels; ++panel) {
      const int64_t first = column + panel * 16;
      const __mmask16 mask = FirstLanes(strip.columns - first);
      __m512 sum = sums[i][panel];
      if (strip.initial != nullptr) {
        sum = _mm512_add_ps(
            sum,
            _mm512_maskz_loadu_ps(mask, strip.initial + (row + i) * strip.initial_stride + first));
      }
      _mm512_mask_storeu_ps(strip.out + (row + i) * strip.out_stride + first, mask, sum);
    }
  }
}

[[maybe_unused]] inline void Bf16Dots(const FloatStrip& strip) {
  constexpr int kRows = 8;
  for (int64_t row = 0; row < strip.rows; row += kRows) {
    for (int64_t column = 0; column < strip.columns; column += 32) {
      if (strip.columns - column > 16) {
        DotRows<kRows, 2>(strip, row, column);
      } else {
        DotRows<kRows, 1>(strip, row, column);
      }
    }
  }
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_BF16_AVX512_H_
