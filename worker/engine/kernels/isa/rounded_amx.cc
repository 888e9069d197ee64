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

// Sums where a strip ends before their square does.
struct alignas(64) SquareSums {
  float v[32][32];
};

// A square of sums in memory, 16 x 16 at a time. row_bytes: from one row to the next; 0: every row
// is the same.
inline void LoadSums(const float* from, int64_t row_bytes) {
  const char* lower = reinterpret_cast<const char*>(from) + 16 * row_bytes;
  _tile_loadd(0, from, row_bytes);
  _tile_loadd(1, from + 16, row_bytes);
  _tile_loadd(2, lower, row_bytes);
  _tile_loadd(3, lower + 64, row_bytes);
}
inline void StoreSums(float* to, int64_t row_bytes) {
  char* lower = reinterpret_cast<char*>(to) + 16 * row_bytes;
  _tile_stored(0, to, row_bytes);
  _tile_stored(1, to + 16, row_bytes);
  _tile_stored(2, lower, row_bytes);
  _tile_stored(3, lower + 64, row_bytes);
}
inline void ZeroSums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// Adds the products of two panels of rows and two of columns. A panel that is not there is the
// other one again, and its sums are of no matter.
inline void AddProducts(const char* const left[2], const char* const right[2], int64_t terms) {
  constexpr int64_t kTileBytes = 1024;
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
}

// Calls body(row of the square, its 16-column half, mask of the columns there are) for the rows
// that a square at [row, column] has.
template <typename Body>
inline void ForEachHalfRow(const RoundedStrip& strip, int64_t row, int64_t column, Body body) {
  const int64_t rows = strip.rows - row < 32 ? strip.rows - row : 32;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t half = 0; half < 2; ++half) {
      body(i, half * 16, FirstLanes(strip.columns - column - half * 16));
    }
  }
}

// A square at the end of rows or columns, by way of `sums`: nothing outside the strip is touched.
inline void MultiplyEdge(const RoundedStrip& strip, int64_t row, int64_t column,
                         const char* const left[2], const char* const right[2], SquareSums& sums) {
  ZeroSums();
  if (strip.initial != nullptr) {
    const float* initial = strip.initial + row * strip.initial_stride + column;
    ForEachHalfRow(strip, row, column, [&](int64_t i, int64_t half, __mmask16 mask) {
      _mm512_store_ps(&sums.v[i][half],
                      _mm512_maskz_loadu_ps(mask, initial + i * strip.initial_stride + half));
    });
    FinishStores();
    LoadSums(&sums.v[0][0], sizeof(sums.v[0]));
  }
  AddProducts(left, right, strip.terms);
  StoreSums(&sums.v[0][0], sizeof(sums.v[0]));
  FinishStores();
  float* out = strip.out + row * strip.out_stride + column;
  ForEachHalfRow(strip, row, column, [&](int64_t i, int64_t half, __mmask16 mask) {
    _mm512_mask_storeu_ps(out + i * strip.out_stride + half, mask,
                          _mm512_load_ps(&sums.v[i][half]));
  });
}

inline void MultiplySquare(const RoundedStrip& strip, int64_t row, int64_t column,
                           const char* const left[2], const char* const right[2]) {
  constexpr int64_t kFloat = sizeof(float);
  if (strip.initial == nullptr) {
    ZeroSums();
  } else {
    LoadSums(strip.initial + row * strip.initial_stride + column, strip.initial_stride * kFloat);
  }
  AddProducts(left, right, strip.terms);
  StoreSums(strip.out + row * strip.out_stride + column, strip.out_stride * kFloat);
}

// Asks for the lines of a square of the result.
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
      const bool last = column + 32 >= strip.columns;
      PrefetchSquare(strip, last ? row + 32 : row, last ? 0 : column + 32);
      if (strip.rows - row < 32 || strip.columns - column < 32) {
        MultiplyEdge(strip, row, column, lefts, rights, sums);
      } else {
        MultiplySquare(strip, row, column, lefts, rights);
      }
    }
  }
  FinishStores();
  _tile_release();
}

}  // namespace

const RoundedKernels& AmxRoundedKernels() {
  static constexpr RoundedKernels kTable = {
      .name = "amx", .bf16 = {2, PackBf16Left, PackBf16Right, Bf16Tiles}, .fp16 = kFp16AsFloat};
  return kTable;
}

}  // namespace wattle::kernels
