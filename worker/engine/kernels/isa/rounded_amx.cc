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

constexpr int64_t kTileBytes = 1024;

// Terms that are added up in one sweep over the columns: two left panels of them, 16 KiB, stay in
// the first-level cache while the right panels pass by.
constexpr int64_t kSweepTerms = 256;

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

// 32 rows times 32 columns of a strip, or as many as there are, and the terms of one sweep.
struct Square {
  bool adds;  // to `initial`; else `initial` is not read
  const float* initial;
  int64_t initial_stride;
  float* out;
  int64_t out_stride;
  int64_t rows;
  int64_t columns;
  // Two panels each. One that is not there is the other one again, and its sums are of no matter.
  const char* left[2];
  const char* right[2];
  int64_t terms;
  const char* ahead;  // what this square asks for of the left panels of the next rows; may be null
};

// What a square asks for of each kilobyte of a panel that comes next.
constexpr int64_t kAheadBytes = 256;

inline void AddProducts(const Square& square) {
  const int64_t bytes = square.terms / kRoundedTermMultiple * kTileBytes;
  for (int64_t at = 0; at < bytes; at += kTileBytes) {
    if (square.ahead != nullptr) {
      for (int64_t line = 0; line < kAheadBytes; line += 64) {
        _mm_prefetch(square.ahead + at + line, _MM_HINT_T1);
      }
    }
    _tile_loadd(4, square.left[0] + at, 64);
    _tile_loadd(6, square.right[0] + at, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, square.right[1] + at, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, square.left[1] + at, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

// Calls body(row of the square, its 16-column half, mask of the columns there are) for the rows
// that a square has.
template <typename Body>
inline void ForEachHalfRow(const Square& square, Body body) {
  for (int64_t i = 0; i < square.rows; ++i) {
    for (int64_t half = 0; half < 2; ++half) {
      body(i, half * 16, FirstLanes(square.columns - half * 16));
    }
  }
}

// A square at the end of rows or columns, by way of `sums`: nothing outside the strip is touched.
inline void MultiplyEdge(const Square& square, SquareSums& sums) {
  ZeroSums();
  if (square.adds) {
    ForEachHalfRow(square, [&](int64_t i, int64_t half, __mmask16 mask) {
      _mm512_store_ps(
          &sums.v[i][half],
          _mm512_maskz_loadu_ps(mask, square.initial + i * square.initial_stride + half));
    });
    FinishStores();
    LoadSums(&sums.v[0][0], sizeof(sums.v[0]));
  }
  AddProducts(square);
  StoreSums(&sums.v[0][0], sizeof(sums.v[0]));
  FinishStores();
  ForEachHalfRow(square, [&](int64_t i, int64_t half, __mmask16 mask) {
    _mm512_mask_storeu_ps(square.out + i * square.out_stride + half, mask,
                          _mm512_load_ps(&sums.v[i][half]));
  });
}

inline void MultiplySquare(const Square& square) {
  constexpr int64_t kFloat = sizeof(float);
  if (square.adds) {
    LoadSums(square.initial, square.initial_stride * kFloat);
  } else {
    ZeroSums();
  }
  AddProducts(square);
  StoreSums(square.out, square.out_stride * kFloat);
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

// The panels of 32 lanes from `lane` on of `lanes`, from `term` on.
inline void FindPanels(const RoundedStrip& strip, const void* packed, int64_t lane, int64_t lanes,
                       int64_t term, const char* (&panels)[2]) {
  const int64_t panel_bytes = strip.terms * kRoundedLanes * 2;
  panels[0] = static_cast<const char*>(packed) + lane / kRoundedLanes * panel_bytes +
              term * kRoundedLanes * 2;
  panels[1] = lanes - lane > kRoundedLanes ? panels[0] + panel_bytes : panels[0];
}

// The share of the squares from `column` on in what is asked for of the next rows: the first eight
// squares of a row ask for all of it.
inline const char* AheadOf(const RoundedStrip& strip, int64_t row, int64_t column, int64_t term) {
  constexpr int64_t kShares = kTileBytes / kAheadBytes;
  const int64_t share = column / 32;
  if (row + 32 >= strip.rows || share >= 2 * kShares) {
    return nullptr;
  }
  const char* next[2];
  FindPanels(strip, strip.left, row + 32, strip.rows, term, next);
  return next[share / kShares] + share % kShares * kAheadBytes;
}

inline void MultiplyAt(const RoundedStrip& strip, int64_t row, int64_t column, int64_t term,
                       SquareSums& sums) {
  const bool begins = term == 0;
  const int64_t initial_stride = begins ? strip.initial_stride : strip.out_stride;
  const float* initial = begins ? strip.initial : strip.out;
  Square square = {.adds = !begins || strip.initial != nullptr,
                   .initial = initial,
                   .initial_stride = initial_stride,
                   .out = strip.out + row * strip.out_stride + column,
                   .out_stride = strip.out_stride,
                   .rows = strip.rows - row < 32 ? strip.rows - row : 32,
                   .columns = strip.columns - column < 32 ? strip.columns - column : 32,
                   .left = {},
                   .right = {},
                   .terms = strip.terms - term < kSweepTerms ? strip.terms - term : kSweepTerms,
                   .ahead = AheadOf(strip, row, column, term)};
  if (square.adds) {
    square.initial += row * initial_stride + column;
  }
  FindPanels(strip, strip.left, row, strip.rows, term, square.left);
  FindPanels(strip, strip.right, column, strip.columns, term, square.right);
  if (square.rows < 32 || square.columns < 32) {
    MultiplyEdge(square, sums);
  } else {
    MultiplySquare(square);
  }
}

inline void Bf16Tiles(const RoundedStrip& strip) {
  Configure();
  SquareSums sums;
  for (int64_t row = 0; row < strip.rows; row += 32) {
    for (int64_t term = 0; term < strip.terms; term += kSweepTerms) {
      for (int64_t column = 0; column < strip.columns; column += 32) {
        const bool last = column + 32 >= strip.columns;
        PrefetchSquare(strip, last ? row + 32 : row, last ? 0 : column + 32);
        MultiplyAt(strip, row, column, term, sums);
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
