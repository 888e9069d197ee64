// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kernels for ARM processors with the int8 matrix product, SMMLA (Cortex-A720, Neoverse V3):
// the dot product for few inputs, blocks of eight inputs and eight rows for prompts. SMMLA adds the
// products of two rows of inputs and two of weights over eight columns, so both are first laid out
// in pairs: a panel of weights once for 32 inputs, in int8 for every format. Sums of a group are
// exact integers, and are scaled in the same order as in every other table.
#include "worker/engine/kernels/isa/lanes_neon.h"
// Must follow the lanes:
#include "worker/engine/kernels/isa/products_inl.h"
#include "worker/engine/kernels/isa/table_inl.h"

namespace wattle::kernels {
namespace {

// With fewer inputs a part of every tile would stay empty.
constexpr int64_t kPairedInputs = 8;
// From this many columns on, padded columns are less than twice as many, and the data laid out here
// (48 rows of them, and two times 256 bytes for each group of at least 32) fits in a product's
// scratch.
constexpr int64_t kPairedColumns = 64;
constexpr int64_t kTileRows = 8;      // rows of inputs and of weights
constexpr int64_t kStep = 8;          // columns of one SMMLA
constexpr int64_t kStepBytes = 64;    // bytes of eight rows of these columns
constexpr int64_t kBlockInputs = 32;  // inputs laid out at a time

inline int64_t PaddedColumns(const Product& p) {
  return (p.columns + 63) / 64 * 64;
}

// --- Layout ---

// Rows [first, first + 8) of inputs as [columns / 8][4 pairs][2][8]. The last row is repeated after
// the end; the sums of the copies are ignored.
inline void PairInputs(const InputRows& in, int64_t first, int64_t columns, int8_t* out) {
  for (int pair = 0; pair < 4; ++pair) {
    const int64_t row = first + 2 * pair;
    const int8_t* even = in.codes + Smaller(row, in.count - 1) * in.code_stride;
    const int8_t* odd = in.codes + Smaller(row + 1, in.count - 1) * in.code_stride;
    int8_t* to = out + 16 * pair;
    for (int64_t c = 0; c < columns; c += 2 * kStep, to += 2 * kStepBytes) {
      const int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(even + c));
      const int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(odd + c));
      vst1q_s8(to, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
      vst1q_s8(to + kStepBytes, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
    }
  }
}

// The scales of the same rows as [groups][4 pairs][2][2], each twice because SMMLA's sums have two
// rows of weights. kSums: multiplied by the sums of the codes, as factors of the minimums.
template <bool kSums>
inline void PairScales(const InputRows& in, int64_t first, float* out) {
  for (int64_t g = 0; g < in.groups; ++g, out += 2 * kTileRows) {
    for (int64_t t = 0; t < kTileRows; ++t) {
      const int64_t place = Smaller(first + t, in.count - 1) * in.groups + g;
      const float scale = in.scales[place];
      vst1_f32(out + 2 * t, vdup_n_f32(kSums ? scale * static_cast<float>(in.sums[place]) : scale));
    }
  }
}

// Eight columns of a panel's rows, of which `left` has the first four: rows 0 to 7 as [4
// pairs][2][8] at `out`, rows 8 to 15 `half` bytes later.
inline void PairRows(W left, W right, int8_t* out, int64_t half) {
  for (int i = 0; i < 4; ++i) {
    const int32x4_t a = vreinterpretq_s32_s8(left.v[i]);
    const int32x4_t b = vreinterpretq_s32_s8(right.v[i]);
    int8_t* to = out + i / 2 * half + i % 2 * 32;
    vst1q_s8(to, vreinterpretq_s8_s32(vzip1q_s32(a, b)));
    vst1q_s8(to + 16, vreinterpretq_s8_s32(vzip2q_s32(a, b)));
  }
}

// A panel of int8 as [2 halves][columns / 8][4 pairs][2][8].
inline void PairInt8Panel(const Product& p, int64_t panel, int8_t* out) {
  const int64_t columns = PaddedColumns(p);
  const auto* line = static_cast<const uint8_t*>(p.packed) + panel * kLanes * columns;
  for (int64_t c = 0; c < columns; c += kStep, line += 2 * kLineBytes, out += kStepBytes) {
    __builtin_prefetch(line + kPrefetchBytes);
    __builtin_prefetch(line + kLineBytes + kPrefetchBytes);
    PairRows(LoadBytes(line), LoadBytes(line + kLineBytes), out, kTileRows * columns);
  }
}

// The values of nibbles, without the scale; kSymmetric: 16 times the value, whose four lowest bits
// are zero.
template <Nibble kKind>
inline W LowDecoded(const Table& table, W bytes) {
  if constexpr (kKind == Nibble::kSymmetric) {
    for (int8x16_t& part : bytes.v) {
      part = vshlq_n_s8(part, 4);
    }
    return bytes;
  }
  const W nibbles = LowNibbles(bytes);
  return kKind == Nibble::kTable ? LookUp(table, nibbles) : nibbles;
}
template <Nibble kKind>
inline W HighDecoded(const Table& table, W bytes) {
  if constexpr (kKind == Nibble::kSymmetric) {
    for (int8x16_t& part : bytes.v) {
      part = vandq_s8(part, vdupq_n_s8(-16));
    }
    return bytes;
  }
  const W nibbles = HighNibbles(bytes);
  return kKind == Nibble::kTable ? LookUp(table, nibbles) : nibbles;
}

// Lays out a panel of nibbles in the same form.
template <Nibble kKind>
inline void PairNibblePanel(const Product& p, int64_t panel, int8_t* out) {
  const Table table = MakeTable(kNf4Levels);
  const int64_t half = kTileRows * PaddedColumns(p);
  const auto* line = static_cast<const uint8_t*>(p.packed) + panel * kLanes * p.columns / 2;
  for (int64_t c = 0; c < p.columns; c += kStep, line += kLineBytes, out += kStepBytes) {
    __builtin_prefetch(line + kPrefetchBytes);
    W bytes = LoadBytes(line);
    if constexpr (kKind == Nibble::kSymmetric) {
      for (int8x16_t& part : bytes.v) {
        part = veorq_s8(part, vdupq_n_s8(-0x78));  // flips signs: a nibble of 8 is now 0
      }
    }
    PairRows(LowDecoded<kKind>(table, bytes), HighDecoded<kKind>(table, bytes), out, half);
  }
}

// --- Products ---

// Sums start at the bits of a float whose last bit has value one (or a sixteenth, if the weights
// are multiplied by sixteen). The bits are then those of that float plus the sum, and one
// subtraction gives the sum as a float, exactly: no sum of 128 products of at most 128 · 127
// reaches 2^22. A conversion of integers takes four times as long.
template <bool kSixteenfold>
inline float32x4_t FirstSum() {
  return vdupq_n_f32(kSixteenfold ? 786432.0F : 12582912.0F);  // 1.5 · 2^19, 1.5 · 2^23
}

// Sums of a group: eight inputs and eight rows, v[pair of inputs][pair of rows], each with [2
// inputs][2 rows].
struct TileSums {
  int32x4_t v[4][4];
};

inline TileSums MultiplyGroup(const int8_t* weights, const int8_t* inputs, int64_t columns,
                              int32x4_t first_sum) {
  TileSums sums;
  for (auto& row : sums.v) {
    for (int32x4_t& sum : row) {
      sum = first_sum;
    }
  }
  for (int64_t c = 0; c < columns; c += kStep, weights += kStepBytes, inputs += kStepBytes) {
    int8x16_t rows[4];
    for (int r = 0; r < 4; ++r) {
      rows[r] = vld1q_s8(weights + 16 * r);
    }
    for (int t = 0; t < 4; ++t) {
      const int8x16_t pair = vld1q_s8(inputs + 16 * t);
      for (int r = 0; r < 4; ++r) {
        sums.v[t][r] = vmmlaq_s32(sums.v[t][r], pair, rows[r]);
      }
    }
  }
  return sums;
}

// Eight rows' 16-bit scales, as [2 inputs][2 rows].
struct RowScales {
  float32x4_t v[4];

  explicit RowScales(const uint16_t* from) {
    for (int i = 0; i < 2; ++i) {
      const float64x2_t four =
          vreinterpretq_f64_f32(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + 4 * i))));
      v[2 * i] = vreinterpretq_f32_f64(vzip1q_f64(four, four));
      v[2 * i + 1] = vreinterpretq_f32_f64(vzip2q_f64(four, four));
    }
  }
};

// The laid-out data of up to 32 inputs and of one panel. kScales: number of 16-bit scales of a
// group in a panel: none, 16, or 32 with minimums.
struct Pairs {
  int64_t columns = 0;  // padded
  int64_t groups = 0;
  int64_t group = 0;                  // columns
  const int8_t* inputs = nullptr;     // [4 tiles][columns / 8][4 pairs][2][8]
  const float* scales = nullptr;      // [4 tiles][groups][4 pairs][2][2], for the inputs
  const float* sums = nullptr;        // same form, for minimums
  const int8_t* weights = nullptr;    // [2 halves][columns / 8][4 pairs][2][8]
  const uint16_t* of_rows = nullptr;  // scales
};

// totals[input][row]: FP32 sums of a tile of inputs and half a panel, group by group.
template <int64_t kScales, bool kSixteenfold>
inline void MultiplyTile(const Pairs& pairs, int64_t tile, int64_t half, float (*totals)[kLanes]) {
  const float32x4_t first_sum = FirstSum<kSixteenfold>();
  const int8_t* weights = pairs.weights + half * kTileRows * pairs.columns;
  const int8_t* inputs = pairs.inputs + tile * kTileRows * pairs.columns;
  float32x4_t sums[4][4] = {};
  for (int64_t g = 0; g < pairs.groups; ++g) {
    const int64_t columns = Smaller(pairs.group, pairs.columns - g * pairs.group);
    const TileSums dots = MultiplyGroup(weights, inputs, columns, vreinterpretq_s32_f32(first_sum));
    weights += kTileRows * columns;
    inputs += kTileRows * columns;
    const int64_t place = (tile * pairs.groups + g) * 2 * kTileRows;
    const auto add = [&](auto&& scaled) {
      for (int t = 0; t < 4; ++t) {
        const float32x4_t scale = vld1q_f32(pairs.scales + place + 4 * t);
        for (int r = 0; r < 4; ++r) {
          const float32x4_t dot = vsubq_f32(vreinterpretq_f32_s32(dots.v[t][r]), first_sum);
          sums[t][r] = vaddq_f32(sums[t][r], scaled(dot, scale, r));
        }
      }
    };
    if constexpr (kScales == 0) {
      add([](float32x4_t dot, float32x4_t scale, int) { return vmulq_f32(dot, scale); });
    } else {
      const uint16_t* of_rows = pairs.of_rows + g * kScales + half * kTileRows;
      const RowScales rows(of_rows);
      add([&](float32x4_t dot, float32x4_t scale, int r) {
        return vmulq_f32(dot, vmulq_f32(rows.v[r], scale));
      });
      if constexpr (kScales > kLanes) {
        const RowScales minimums(of_rows + kLanes);
        for (int t = 0; t < 4; ++t) {
          const float32x4_t inputs_sum = vld1q_f32(pairs.sums + place + 4 * t);
          for (int r = 0; r < 4; ++r) {
            sums[t][r] = vaddq_f32(sums[t][r], vmulq_f32(minimums.v[r], inputs_sum));
          }
        }
      }
    }
  }
  for (int t = 0; t < 4; ++t) {
    for (int quad = 0; quad < 2; ++quad) {
      const float64x2_t left = vreinterpretq_f64_f32(sums[t][2 * quad]);
      const float64x2_t right = vreinterpretq_f64_f32(sums[t][2 * quad + 1]);
      const int64_t row = half * kTileRows + 4 * quad;
      vst1q_f32(totals[2 * t] + row, vreinterpretq_f32_f64(vtrn1q_f64(left, right)));
      vst1q_f32(totals[2 * t + 1] + row, vreinterpretq_f32_f64(vtrn2q_f64(left, right)));
    }
  }
}

// pair_panel(panel, out): lays out a panel's weights.
template <int64_t kScales, bool kSixteenfold, typename PairPanel>
inline void PairedProduct(const Product& p, int64_t first_panel, int64_t end_panel,
                          const PairPanel& pair_panel) {
  const InputRows& in = p.inputs;
  const int64_t columns = PaddedColumns(p);
  auto* weights = static_cast<int8_t*>(p.scratch);
  int8_t* inputs = weights + kLanes * columns;
  auto* scales = reinterpret_cast<float*>(inputs + kBlockInputs * columns);
  float* sums = scales + kBlockInputs * in.groups * 2;
  Pairs pairs = {.columns = columns,
                 .groups = in.groups,
                 .group = in.group,
                 .inputs = inputs,
                 .scales = scales,
                 .sums = sums,
                 .weights = weights};
  for (int64_t block = 0; block < in.count; block += kBlockInputs) {
    const int64_t end = Smaller(block + kBlockInputs, in.count);
    const int64_t tiles = (end - block + kTileRows - 1) / kTileRows;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t first = block + tile * kTileRows;
      const int64_t place = tile * in.groups * 2 * kTileRows;
      PairInputs(in, first, columns, inputs + tile * kTileRows * columns);
      PairScales<false>(in, first, scales + place);
      if constexpr (kScales > kLanes) {
        PairScales<true>(in, first, sums + place);
      }
    }
    for (int64_t panel = first_panel; panel < end_panel; ++panel) {
      pair_panel(panel, weights);
      if constexpr (kScales > 0) {
        pairs.of_rows = static_cast<const uint16_t*>(p.scales) + panel * in.groups * kScales;
      }
      for (int64_t tile = 0; tile < tiles; ++tile) {
        alignas(64) float totals[kTileRows][kLanes];
        MultiplyTile<kScales, kSixteenfold>(pairs, tile, 0, totals);
        MultiplyTile<kScales, kSixteenfold>(pairs, tile, 1, totals);
        const int64_t first = block + tile * kTileRows;
        for (int64_t t = 0; t < Smaller(kTileRows, end - first); ++t) {
          F sum = Load(totals[t]);
          if constexpr (kScales == 0) {
            sum = Mul(sum, Load(static_cast<const float*>(p.scales) + panel * kLanes));
          }
          StorePanel(p, panel, first + t, sum);
        }
      }
    }
  }
}

inline bool WantsPairs(const Product& p) {
  return p.inputs.count >= kPairedInputs && p.columns >= kPairedColumns;
}

template <bool kGrouped>
inline void Int8Pairs(const Product& p, int64_t first_panel, int64_t end_panel) {
  if (!WantsPairs(p)) {
    Int8Product<kGrouped>(p, first_panel, end_panel);
    return;
  }
  PairedProduct<kGrouped ? kLanes : 0, false>(
      p, first_panel, end_panel,
      [&p](int64_t panel, int8_t* out) { PairInt8Panel(p, panel, out); });
}

template <Nibble kKind>
inline void NibblePairs(const Product& p, int64_t first_panel, int64_t end_panel) {
  if (!WantsPairs(p)) {
    NibbleProduct<kKind>(p, first_panel, end_panel);
    return;
  }
  PairedProduct<kKind == Nibble::kAsymmetric ? 2 * kLanes : kLanes, kKind == Nibble::kSymmetric>(
      p, first_panel, end_panel,
      [&p](int64_t panel, int8_t* out) { PairNibblePanel<kKind>(p, panel, out); });
}

}  // namespace

const KernelTable& NeonI8mmKernels() {
  static constexpr KernelTable kTable = [] {
    KernelTable table = TableOverLanes("neon-i8mm");
    table.int8 = Int8Pairs<false>;
    table.int4 = NibblePairs<Nibble::kSymmetric>;
    table.int4_asymmetric = NibblePairs<Nibble::kAsymmetric>;
    table.nf4 = NibblePairs<Nibble::kTable>;
    table.int8_grouped = Int8Pairs<true>;
    return table;
  }();
  return kTable;
}

}  // namespace wattle::kernels
