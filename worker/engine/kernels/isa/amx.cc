// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels for x86 processors with AMX (Sapphire Rapids and later): AVX-512 for single tokens,
// the matrix unit for prompts. A tile of weights is 16 lines of a panel in its memory layout: 64
// columns of 16 rows. 4-bit panels are unpacked to int8 first, once for all inputs. Sums of a group
// leave the unit as exact integers and are scaled in the same order as in every other table.
#include "worker/engine/kernels/isa/amx_tiles.h"
#include "worker/engine/kernels/isa/lanes_avx512.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/products_inl.h"
#include "worker/engine/kernels/isa/table_inl.h"

namespace wattle::kernels {
namespace {

// With fewer inputs most rows of a tile would stay empty.
constexpr int64_t kTileInputs = 8;
constexpr int64_t kTileColumns = 64;  // in one row of codes: bytes of a tile's row

// Tiles 0 to 3: sums [inputs][16 rows]; 4 and 5: inputs [16][columns]; 6 and 7: weights [columns /
// 4][16 rows][4].
// columns: in one step, at most kTileColumns.
inline void Configure(int64_t columns) {
  TileConfig config;
  for (int tile = 0; tile < 6; ++tile) {
    config.rows[tile] = 16;
    config.row_bytes[tile] = static_cast<uint16_t>(tile < 4 ? 64 : columns);
  }
  for (int tile = 6; tile < 8; ++tile) {
    config.rows[tile] = static_cast<uint8_t>(columns / 4);
    config.row_bytes[tile] = 64;
  }
  FinishStores();
  _tile_loadconfig(&config);
}

// Integer sums of one group for two panels and two blocks of 16 inputs, [2 blocks][16][2][16].
struct alignas(64) GroupSums {
  int32_t v[2][16][2][16];
};

// One group's part of two blocks of inputs and two panels. weights: the group's lines in the two
// panels; codes: [32, code_stride] at the group's first column.
inline void MultiplyGroup(const int8_t* const weights[2], const int8_t* codes, int64_t code_stride,
                          int64_t columns, int64_t step, GroupSums& sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const int8_t* second = codes + 16 * code_stride;
  for (int64_t c = 0; c < columns; c += step) {
    _tile_loadd(4, codes + c, code_stride);
    _tile_loadd(6, weights[0] + c * 16, 64);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, weights[1] + c * 16, 64);
    _tile_dpbssd(1, 4, 7);
    _tile_loadd(5, second + c, code_stride);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  constexpr int64_t kStride = 2 * 16 * sizeof(int32_t);
  _tile_stored(0, &sums.v[0][0][0][0], kStride);
  _tile_stored(1, &sums.v[0][0][1][0], kStride);
  _tile_stored(2, &sums.v[1][0][0][0], kStride);
  _tile_stored(3, &sums.v[1][0][1][0], kStride);
}

// A panel's weights after conversion to int8.
struct TilePanel {
  const int8_t* weights = nullptr;    // [columns / 4][16][4]
  const uint16_t* scales = nullptr;   // with groups: scales of the panel, else null
  const float* row_scales = nullptr;  // without groups: [16], else null
};

// FP32 sums of up to 32 inputs from input `first` and two panels (the second may repeat the first),
// group by group. kScales: number of 16-bit scales of a group in a panel; 0: none.
template <int64_t kScales>
inline void MultiplyBlock(const Product& p, const TilePanel panels[2], int64_t first, int64_t count,
                          int64_t step, float (*totals)[2][16]) {
  const InputRows& in = p.inputs;
  for (int64_t i = 0; i < count; ++i) {
    Store(totals[i][0], Set(0.0F));
    Store(totals[i][1], Set(0.0F));
  }
  // A block that is not full reads the rows after it: MatMul keeps 32 rows of slack there.
  const int8_t* codes = in.codes + first * in.code_stride;
  GroupSums sums;
  for (int64_t g = 0; g < in.groups; ++g) {
    const int64_t start = g * in.group;
    const int64_t columns = Smaller(in.group, (p.columns - start + 63) / 64 * 64);
    const int8_t* const weights[2] = {panels[0].weights + start * 16,
                                      panels[1].weights + start * 16};
    MultiplyGroup(weights, codes + start, in.code_stride, columns, step, sums);
    for (int half = 0; half < 2; ++half) {
      F scale = Set(1.0F);
      F minimum = Set(0.0F);
      if constexpr (kScales > 0) {
        scale = LoadHalves(panels[half].scales + g * kScales);
        if constexpr (kScales > 16) {
          minimum = LoadHalves(panels[half].scales + g * kScales + 16);
        }
      }
      for (int64_t i = 0; i < count; ++i) {
        const int64_t place = (first + i) * in.groups + g;
        const F dot = ToFloat(_mm512_load_si512(&sums.v[i / 16][i % 16][half][0]));
        const F input_scale = Set(in.scales[place]);
        F total = Load(totals[i][half]);
        if constexpr (kScales == 0) {
          total = Add(total, Mul(dot, input_scale));
        } else {
          total = Add(total, Mul(dot, Mul(scale, input_scale)));
        }
        if constexpr (kScales > 16) {
          const float inputs_sum = in.scales[place] * static_cast<float>(in.sums[place]);
          total = Add(total, Mul(minimum, Set(inputs_sum)));
        }
        Store(totals[i][half], total);
      }
    }
  }
}

template <int64_t kScales>
inline void MultiplyPair(const Product& p, const TilePanel panels[2], int64_t panel, int64_t end,
                         int64_t step) {
  alignas(64) float totals[32][2][16];
  for (int64_t first = 0; first < p.inputs.count; first += 32) {
    const int64_t count = Smaller(32, p.inputs.count - first);
    MultiplyBlock<kScales>(p, panels, first, count, step, totals);
    for (int64_t half = 0; half < Smaller(2, end - panel); ++half) {
      for (int64_t i = 0; i < count; ++i) {
        F total = Load(totals[i][half]);
        if constexpr (kScales == 0) {
          total = Mul(total, Load(panels[half].row_scales));
        }
        StorePanel(p, panel + half, first + i, total);
      }
    }
  }
}

template <bool kGrouped>
inline void Int8Tiles(const Product& p, int64_t first_panel, int64_t end_panel) {
  if (p.inputs.count < kTileInputs) {
    Int8Product<kGrouped>(p, first_panel, end_panel);
    return;
  }
  const int64_t step = kGrouped ? Smaller(p.group, kTileColumns) : kTileColumns;
  Configure(step);
  const int64_t panel_bytes = 16 * ((p.columns + 63) / 64 * 64);
  for (int64_t panel = first_panel; panel < end_panel; panel += 2) {
    TilePanel panels[2];
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t which = Smaller(panel + half, end_panel - 1);
      panels[half].weights = static_cast<const int8_t*>(p.packed) + which * panel_bytes;
      if constexpr (kGrouped) {
        panels[half].scales = static_cast<const uint16_t*>(p.scales) + which * p.inputs.groups * 16;
      } else {
        panels[half].row_scales = static_cast<const float*>(p.scales) + which * 16;
      }
    }
    MultiplyPair<kGrouped ? 16 : 0>(p, panels, panel, end_panel, step);
  }
  _tile_release();
}

// A 4-bit panel as int8 weights, [columns / 4][16][4].
template <Nibble kKind>
inline void UnpackPanel(const Product& p, int64_t panel, int8_t* out) {
  const auto* line = static_cast<const uint8_t*>(p.packed) + panel * 16 * p.columns / 2;
  const __m128i levels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kNf4Levels));
  const __m512i table = _mm512_broadcast_i32x4(levels);
  const __m512i eight = _mm512_set1_epi8(8);
  for (int64_t c = 0; c < p.columns; c += 8, line += kLineBytes) {
    const W bytes = LoadBytes(line);
    __m512i halves[2] = {LowNibbles(bytes).v, HighNibbles(bytes).v};
    for (__m512i& codes : halves) {
      if constexpr (kKind == Nibble::kSymmetric) {
        codes = _mm512_sub_epi8(codes, eight);
      } else if constexpr (kKind == Nibble::kTable) {
        codes = _mm512_shuffle_epi8(table, codes);
      }
      _mm512_store_si512(out, codes);
      out += kLineBytes;
    }
  }
  FinishStores();
}

template <Nibble kKind>
inline void NibbleTiles(const Product& p, int64_t first_panel, int64_t end_panel) {
  if (p.inputs.count < kTileInputs) {
    NibbleProduct<kKind>(p, first_panel, end_panel);
    return;
  }
  constexpr int64_t kScales = kKind == Nibble::kAsymmetric ? 32 : 16;
  const int64_t step = Smaller(p.group, kTileColumns);
  Configure(step);
  auto* unpacked = static_cast<int8_t*>(p.scratch);
  for (int64_t panel = first_panel; panel < end_panel; panel += 2) {
    TilePanel panels[2];
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t which = Smaller(panel + half, end_panel - 1);
      int8_t* place = unpacked + half * 16 * p.columns;
      UnpackPanel<kKind>(p, which, place);
      panels[half].weights = place;
      panels[half].scales =
          static_cast<const uint16_t*>(p.scales) + which * p.inputs.groups * kScales;
    }
    MultiplyPair<kScales>(p, panels, panel, end_panel, step);
  }
  _tile_release();
}

}  // namespace

const KernelTable& AmxKernels() {
  static constexpr KernelTable kTable = [] {
    KernelTable table = TableOverLanes("amx");
    table.int8 = Int8Tiles<false>;
    table.int4 = NibbleTiles<Nibble::kSymmetric>;
    table.int4_asymmetric = NibbleTiles<Nibble::kAsymmetric>;
    table.nf4 = NibbleTiles<Nibble::kTable>;
    table.int8_grouped = Int8Tiles<true>;
    return table;
  }();
  return kTable;
}

}  // namespace wattle::kernels
