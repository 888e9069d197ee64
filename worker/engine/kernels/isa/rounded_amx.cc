// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of rounded factors for x86 processors whose matrix unit (AMX) has BF16. FP16 factors are
// multiplied in FP32.
#include "worker/engine/kernels/isa/amx_tiles.h"
#include "worker/engine/kernels/isa/bf16_avx512.h"
#include "worker/engine/kernels/isa/lanes_avx512.h"
// Over those lanes:
#include "worker/engine/kernels/isa/rounded_inl.h"

namespace wattle::kernels {
namespace {

// Tiles 0 to 3: sums [16][16]; 4 and 5: left [16 rows][16 pairs]; 6 and 7: right [16 pairs][16
// columns].
inline void Configure() {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.rows[tile] = 16;
    config.row_bytes[tile] = 64;
  }
  FinishStores();
  _tile_loadconfig(&config);
}

// Sums of 32 rows and 32 columns.
struct alignas(64) SquareSums {
  float v[32][32];
};

// A panel that is not there is the other one again, and its sums are of no matter.
inline void MultiplySquare(const char* const left[2], const char* const right[2], int64_t terms,
                           SquareSums& sums) {
  constexpr int64_t kTileBytes = 1024;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const int64_t bytes = terms / kRoundedTermMultiple * kTileBytes;
  for (int64_t at = 0; at < bytes; at += kTileBytes) {
    _tile_loadd(4, left[0] + at, 64);
    _tile_loadd(6, right[0] + at, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, right[1] + at, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, left[1] + at, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  constexpr int64_t kStride = 32 * sizeof(float);
  _tile_stored(0, &sums.v[0][0], kStride);
  _tile_stored(1, &sums.v[0][16], kStride);
  _tile_stored(2, &sums.v[16][0], kStride);
  _tile_stored(3, &sums.v[16][16], kStride);
  FinishStores();
}

// The square of sums to rows [row, row + 32) and columns [column, column + 32) of the result.
inline void StoreSquare(const RoundedStrip& strip, int64_t row, int64_t column,
                        const SquareSums& sums) {
  const int64_t rows = strip.rows - row < 32 ? strip.rows - row : 32;
  const __mmask16 masks[2] = {FirstLanes(strip.columns - column),
                              FirstLanes(strip.columns - column - 16)};
  for (int64_t i = 0; i < rows; ++i) {
    float* out = strip.out + (row + i) * strip.out_stride + column;
    const float* initial = strip.initial == nullptr
                               ? nullptr
                               : strip.initial + (row + i) * strip.initial_stride + column;
    for (int64_t half = 0; half < 2; ++half) {
      __m512 sum = _mm512_load_ps(&sums.v[i][half * 16]);
      if (initial != nullptr) {
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(masks[half], initial + half * 16));
      }
      _mm512_mask_storeu_ps(out + half * 16, masks[half], sum);
    }
  }
}

// Asks for the lines of a square of the result, which are needed when its products are done.
inline void PrefetchSquare(const RoundedStrip& strip, int64_t row, int64_t column) {
  const int64_t rows = strip.rows - row < 32 ? strip.rows - row : 32;
  for (int64_t i = 0; i < rows; ++i) {
    const float* line = strip.out + (row + i) * strip.out_stride + column;
    _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(line + 16), _MM_HINT_T0);
  }
}

inline void Bf16Tiles(const RoundedStrip& strip) {
  const int64_t panel_bytes = strip.terms * kRoundedLanes * 2;
  const auto* left = static_cast<const char*>(strip.left);
  const auto* right = static_cast<const char*>(strip.right);
  Configure();
  SquareSums sums;
  for (int64_t row = 0; row < strip.rows; row += 32) {
    const char* first_left = left + row / 16 * panel_bytes;
    const char* const lefts[2] = {first_left,
                                  strip.rows - row > 16 ? first_left + panel_bytes : first_left};
    for (int64_t column = 0; column < strip.columns; column += 32) {
      const char* first_right = right + column / 16 * panel_bytes;
      const char* const rights[2] = {
          first_right, strip.columns - column > 16 ? first_right + panel_bytes : first_right};
      PrefetchSquare(strip, row, column);
      MultiplySquare(lefts, rights, strip.terms, sums);
      StoreSquare(strip, row, column, sums);
    }
  }
  _tile_release();
}

}  // namespace

const RoundedKernels& AmxRoundedKernels() {
  static constexpr RoundedKernels kTable = {
      .name = "amx", .bf16 = {2, PackBf16Left, PackBf16Right, Bf16Tiles}, .fp16 = kFp16AsFloat};
  return kTable;
}

}  // namespace wattle::kernels
