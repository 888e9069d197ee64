// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of packed factors for x86 processors whose matrix unit (AMX) has BF16. FP16 factors are
// multiplied in FP32.
//
// FP32 factors are cut in three BF16 numbers each, a = a0 + a1 + a2, and six of the nine products
// are added up, smallest first: a2 b0, a1 b0, a1 b1, a0 b1, a0 b2, a0 b0 (Henry, Tang and Heinecke,
// "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations",
// 2019). A product of two BF16 numbers is exact in FP32, and the three omitted products are
// together at most 2^-23 of |a b|, so that a sum is as close to the exact one as a sum of FP32
// products. The matrix unit computes sixteen products in the time of one FP32 product of the vector
// unit, so that six are faster.
#include "worker/engine/kernels/isa/amx_tiles.h"
#include "worker/engine/kernels/isa/bf16_avx512.h"
#include "worker/engine/kernels/isa/lanes_avx512.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/float_inl.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kTileBytes = 1024;

constexpr int kThirds = 3;

// Terms added in one sweep over the inner side of a strip (Sides): the two outer panels with these
// terms, 16 KiB, or 24 in thirds, stay in the L1 cache while the inner panels are streamed.
template <int kParts>
constexpr int64_t kSweepTerms = kParts == 1 ? 256 : 128;

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

// Sums in memory: the address of their first row, and the bytes from one row to the next.
template <typename Value>
struct SumsAt {
  Value* upper;
  int64_t row_bytes;

  // The first row of the lower two tiles.
  [[nodiscard]] Value* lower() const {
    return upper + 16 * row_bytes / static_cast<int64_t>(sizeof(float));
  }
};

// The initial value of sums without addend: every row is this one.
alignas(64) constexpr float kZeros[32] = {};

// Sums of a square that extends past the end of rows or columns.
struct alignas(64) SquareSums {
  float v[32][32];
};

// Up to 32 rows times up to 32 columns of a strip, and the terms of one sweep.
struct Square {
  SumsAt<const float> initial;
  SumsAt<float> out;
  int64_t rows;
  int64_t columns;
  // Two panels each. A missing second panel is replaced by the first, and its sums are ignored.
  const char* left[2];
  const char* right[2];
  int64_t terms;
  const char* ahead;  // this square's share of the prefetch of the next outer panels; may be null
};

// Bytes that a square prefetches of each kilobyte of a next panel.
constexpr int64_t kAheadBytes = 256;

inline void PrefetchAhead(const Square& square, int64_t at) {
  if (square.ahead != nullptr) {
    for (int64_t line = 0; line < kAheadBytes; line += 64) {
      _mm_prefetch(square.ahead + at + line, _MM_HINT_T1);
    }
  }
}

inline void ReadSums(const SumsAt<const float>& from) {
  _tile_loadd(0, from.upper, from.row_bytes);
  _tile_loadd(1, from.upper + 16, from.row_bytes);
  _tile_loadd(2, from.lower(), from.row_bytes);
  _tile_loadd(3, from.lower() + 16, from.row_bytes);
}
inline void WriteSums(const SumsAt<float>& to) {
  _tile_stored(0, to.upper, to.row_bytes);
  _tile_stored(1, to.upper + 16, to.row_bytes);
  _tile_stored(2, to.lower(), to.row_bytes);
  _tile_stored(3, to.lower() + 16, to.row_bytes);
}

// The first tiles of a square in thirds, while the sums of the last square are stored and its own
// are loaded: one tile after the other, so that the unit multiplies meanwhile.
inline void BeginProducts(const Square& square, int64_t left_at, int64_t right_at,
                          const SumsAt<float>& last) {
  const SumsAt<const float>& from = square.initial;
  _tile_loadd(4, square.left[0] + left_at, 64);
  _tile_loadd(6, square.right[0] + right_at, 64);
  _tile_stored(0, last.upper, last.row_bytes);
  _tile_loadd(0, from.upper, from.row_bytes);
  _tile_dpbf16ps(0, 4, 6);
  _tile_loadd(7, square.right[1] + right_at, 64);
  _tile_stored(1, last.upper + 16, last.row_bytes);
  _tile_loadd(1, from.upper + 16, from.row_bytes);
  _tile_dpbf16ps(1, 4, 7);
  _tile_loadd(5, square.left[1] + left_at, 64);
  _tile_stored(2, last.lower(), last.row_bytes);
  _tile_loadd(2, from.lower(), from.row_bytes);
  _tile_dpbf16ps(2, 5, 6);
  _tile_stored(3, last.lower() + 16, last.row_bytes);
  _tile_loadd(3, from.lower() + 16, from.row_bytes);
  _tile_dpbf16ps(3, 5, 7);
}

// Factors in one part.
inline void AddRounded(const Square& square) {
  ReadSums(square.initial);
  const int64_t bytes = square.terms / kFloatTermMultiple * kTileBytes;
  for (int64_t at = 0; at < bytes; at += kTileBytes) {
    PrefetchAhead(square, at);
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

inline void LoadLeft(const Square& square, int64_t at) {
  _tile_loadd(4, square.left[0] + at, 64);
  _tile_loadd(5, square.left[1] + at, 64);
}
inline void LoadRight(const Square& square, int64_t at) {
  _tile_loadd(6, square.right[0] + at, 64);
  _tile_loadd(7, square.right[1] + at, 64);
}
inline void MultiplyTiles() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

// Factors in thirds: the six products for each 32 terms.
inline void AddExact(const Square& square, const SumsAt<float>& last) {
  constexpr int64_t kSecond = kTileBytes;
  constexpr int64_t kThird = 2 * kTileBytes;
  const int64_t bytes = square.terms / kFloatTermMultiple * kThirds * kTileBytes;
  for (int64_t at = 0; at < bytes; at += kThirds * kTileBytes) {
    for (int64_t third = 0; third < kThirds; ++third) {
      PrefetchAhead(square, at + third * kTileBytes);
    }
    if (at == 0) {
      BeginProducts(square, kThird, 0, last);
    } else {
      LoadLeft(square, at + kThird);
      LoadRight(square, at);
      MultiplyTiles();
    }
    LoadLeft(square, at + kSecond);
    MultiplyTiles();
    LoadRight(square, at + kSecond);
    MultiplyTiles();
    LoadLeft(square, at);
    MultiplyTiles();
    LoadRight(square, at + kThird);
    MultiplyTiles();
    LoadRight(square, at);
    MultiplyTiles();
  }
}

// Computes the products of a square. `last`: destination of the sums still in the tiles. Returns
// the destination of the sums that the tiles contain afterwards. nowhere: a destination for sums
// that were already written. Rounded factors are multiplied too fast for the next square to hide
// the writing.
template <int kParts>
inline SumsAt<float> AddProducts(const Square& square, const SumsAt<float>& last,
                                 const SumsAt<float>& nowhere) {
  if constexpr (kParts == 1) {
    AddRounded(square);
    WriteSums(square.out);
    return nowhere;
  } else {
    AddExact(square, last);
    return square.out;
  }
}

// Calls body(row of the square, its 16-column half, mask of the existing columns) for the existing
// rows of a square.
template <typename Body>
inline void ForEachHalfRow(const Square& square, Body body) {
  for (int64_t i = 0; i < square.rows; ++i) {
    for (int64_t half = 0; half < 2; ++half) {
      body(i, half * 16, FirstLanes(square.columns - half * 16));
    }
  }
}

// A square at the end of rows or columns, computed in `sums`: nothing outside the strip is
// accessed. nowhere: destination for the tiles' contents, which were already written.
template <int kParts>
inline void MultiplyEdge(const Square& square, const SumsAt<float>& nowhere, SquareSums& sums) {
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  ForEachHalfRow(square, [&](int64_t i, int64_t half, __mmask16 mask) {
    const float* row = square.initial.upper + i * square.initial.row_bytes / kFloat;
    _mm512_store_ps(&sums.v[i][half], _mm512_maskz_loadu_ps(mask, row + half));
  });
  FinishStores();
  Square whole = square;
  whole.initial = {&sums.v[0][0], sizeof(sums.v[0])};
  whole.out = {&sums.v[0][0], sizeof(sums.v[0])};
  WriteSums(AddProducts<kParts>(whole, nowhere, nowhere));
  FinishStores();
  ForEachHalfRow(square, [&](int64_t i, int64_t half, __mmask16 mask) {
    float* row = square.out.upper + i * square.out.row_bytes / kFloat;
    _mm512_mask_storeu_ps(row + half, mask, _mm512_load_ps(&sums.v[i][half]));
  });
}

// The first row and column of a square.
struct Corner {
  int64_t row;
  int64_t column;
};

// The side of a strip with more lanes is the outer one: 32 of its lanes stay in the L1 cache while
// the lanes of the inner side are streamed, all of which stay in the L2 cache.
struct Sides {
  explicit Sides(const FloatStrip& strip)
      : rows_are_outer(strip.rows >= strip.columns),
        outer(rows_are_outer ? strip.rows : strip.columns),
        inner(rows_are_outer ? strip.columns : strip.rows),
        outer_packed(rows_are_outer ? strip.left : strip.right) {}
  [[nodiscard]] Corner At(int64_t outer_lane, int64_t inner_lane) const {
    return rows_are_outer ? Corner{outer_lane, inner_lane} : Corner{inner_lane, outer_lane};
  }

  bool rows_are_outer;
  int64_t outer;  // lanes
  int64_t inner;
  const void* outer_packed;
};

// Prefetches the lines of a square of the result.
inline void PrefetchSquare(const FloatStrip& strip, const Corner& corner) {
  const auto [row, column] = corner;
  const int64_t rows = strip.rows - row < 32 ? strip.rows - row : 32;
  for (int64_t i = 0; i < rows; ++i) {
    const float* line = strip.out + (row + i) * strip.out_stride + column;
    _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(line + 16), _MM_HINT_T0);
  }
}

// The panels of 32 lanes from `lane` on of `lanes`, from `term` on.
template <int kParts>
inline void FindPanels(const FloatStrip& strip, const void* packed, int64_t lane, int64_t lanes,
                       int64_t term, const char* (&panels)[2]) {
  const int64_t panel_bytes = strip.terms * kFloatLanes * kParts * 2;
  panels[0] = static_cast<const char*>(packed) + lane / kFloatLanes * panel_bytes +
              term * kFloatLanes * kParts * 2;
  panels[1] = lanes - lane > kFloatLanes ? panels[0] + panel_bytes : panels[0];
}

// The share of the squares at `inner` in the prefetch of the next outer panels: the first eight
// squares together prefetch everything.
template <int kParts>
inline const char* AheadOf(const FloatStrip& strip, const Sides& sides, int64_t outer,
                           int64_t inner, int64_t term) {
  constexpr int64_t kShares = kTileBytes / kAheadBytes;
  const int64_t share = inner / 32;
  if (outer + 32 >= sides.outer || share >= 2 * kShares) {
    return nullptr;
  }
  const char* next[2];
  FindPanels<kParts>(strip, sides.outer_packed, outer + 32, sides.outer, term, next);
  return next[share / kShares] + share % kShares * kAheadBytes;
}

// The needs of the outer lanes.
inline RowsNeed NeedOf(const FloatStrip& strip, const Sides& sides, int64_t outer) {
  return strip.needs == nullptr ? RowsNeed{0, strip.terms, sides.inner}
                                : strip.needs[outer / kRowsOfNeed];
}

// The square at a corner, with the terms [term, end_term) of one sweep; begins: the first sweep.
template <int kParts>
inline Square SquareAt(const FloatStrip& strip, const Corner& corner, int64_t term,
                       int64_t end_term, bool begins) {
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  const auto [row, column] = corner;
  const SumsAt<float> out = {strip.out + row * strip.out_stride + column,
                             strip.out_stride * kFloat};
  Square square = {.initial = {out.upper, out.row_bytes},
                   .out = out,
                   .rows = strip.rows - row < 32 ? strip.rows - row : 32,
                   .columns = strip.columns - column < 32 ? strip.columns - column : 32,
                   .left = {},
                   .right = {},
                   .terms = end_term - term,
                   .ahead = nullptr};
  if (begins) {
    square.initial = strip.initial == nullptr
                         ? SumsAt<const float>{kZeros, 0}
                         : SumsAt<const float>{strip.initial + row * strip.initial_stride + column,
                                               strip.initial_stride * kFloat};
  }
  FindPanels<kParts>(strip, strip.left, row, strip.rows, term, square.left);
  FindPanels<kParts>(strip, strip.right, column, strip.columns, term, square.right);
  return square;
}

template <int kParts>
inline void Tiles(const FloatStrip& strip) {
  Configure();
  SquareSums edge;
  SquareSums dropped;  // destination of sums that were already written
  const SumsAt<float> nowhere = {&dropped.v[0][0], sizeof(dropped.v[0])};
  SumsAt<float> last = nowhere;
  const Sides sides(strip);
  for (int64_t outer = 0; outer < sides.outer; outer += 32) {
    const RowsNeed need = NeedOf(strip, sides, outer);
    for (int64_t term = need.first_term; term < need.end_term; term += kSweepTerms<kParts>) {
      const int64_t left = need.end_term - term;
      const int64_t end_term = term + (left < kSweepTerms<kParts> ? left : kSweepTerms<kParts>);
      for (int64_t inner = 0; inner < need.end_column; inner += 32) {
        const bool ends = inner + 32 >= need.end_column;
        PrefetchSquare(strip, sides.At(ends ? outer + 32 : outer, ends ? 0 : inner + 32));
        Square square = SquareAt<kParts>(strip, sides.At(outer, inner), term, end_term,
                                         term == need.first_term);
        square.ahead = AheadOf<kParts>(strip, sides, outer, inner, term);
        if (square.rows < 32 || square.columns < 32) {
          WriteSums(last);
          MultiplyEdge<kParts>(square, nowhere, edge);
          last = nowhere;
        } else {
          last = AddProducts<kParts>(square, last, nowhere);
        }
      }
    }
  }
  WriteSums(last);
  FinishStores();
  _tile_release();
}

}  // namespace

const FloatKernels& AmxFloatKernels() {
  static constexpr FloatKernels kTable = {
      .name = "amx",
      .float32 = {2 * kThirds, PackBf16<false, kThirds>, PackBf16<true, kThirds>, Tiles<kThirds>,
                  true},
      .bf16 = {2, PackBf16Left, PackBf16Right, Tiles<1>, true},
      .fp16 = kFp16AsFloat};
  return kTable;
}

}  // namespace wattle::kernels
