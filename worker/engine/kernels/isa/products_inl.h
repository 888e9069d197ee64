// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products with weight matrices, written once over the sixteen lanes of lanes_*.h, one of which is
// included before this file. Quantized products run over panels of 16 rows, a lane for each row, so
// that no sum crosses lanes: integer sums of a group of columns are exact, and one FP32 sum per row
// takes the groups in their order. The result is therefore the same on every instruction set.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_PRODUCTS_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_PRODUCTS_INL_H_

#include <cstdint>
#include <type_traits>

#include "worker/engine/kernels/isa/functions_inl.h"
#include "worker/engine/kernels/isa/kernel_table.h"
#include "worker/engine/kernels/nf4_levels.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kLineBytes = 64;
// Prefetch distance of packed lines: about 250 cycles of one core's stream. Measured with ./dev
// bench infer: int4 decodes slower with 1024 bytes, and no faster with 4096.
constexpr int64_t kPrefetchBytes = 2048;

inline int64_t Smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Bias, nonlinearity and residual, then out[input, 16 panel …]. Inlined, because a call passes the
// sums through memory if sixteen lanes take more than one register.
[[gnu::always_inline]] inline void StorePanel(const Product& p, int64_t panel, int64_t input,
                                              F sum) {
  const int64_t row = panel * kLanes;
  const int64_t rows = Smaller(kLanes, p.rows - row);
  float* out = p.out + input * p.out_stride + row;
  if (rows == kLanes) {
    F value = p.bias == nullptr ? sum : Add(sum, Load(p.bias + row));
    value = Apply(p.nonlinearity, value);
    Store(out, p.accumulate ? Add(Load(out), value) : value);
    return;
  }
  alignas(64) float bias[kLanes] = {};
  for (int64_t r = 0; r < rows && p.bias != nullptr; ++r) {
    bias[r] = p.bias[row + r];
  }
  alignas(64) float values[kLanes];
  Store(values, Apply(p.nonlinearity, p.bias == nullptr ? sum : Add(sum, Load(bias))));
  for (int64_t r = 0; r < rows; ++r) {
    out[r] = p.accumulate ? out[r] + values[r] : values[r];
  }
}

// Calls block.template operator()<n>(input) so that blocks of n inputs cover all inputs.
template <typename Block>
inline void OverInputs(int64_t count, const Block& block) {
  int64_t input = 0;
  for (; input + kInputBlock <= count; input += kInputBlock) {
    block.template operator()<kInputBlock>(input);
  }
  for (; input + 2 <= count; input += 2) {
    block.template operator()<2>(input);
  }
  if (input < count) {
    block.template operator()<1>(input);
  }
}

// Adds the products of `columns` columns, a multiple of sixteen, to the sums of some rows of
// inputs, for lanes that load sixteen columns of inputs at a time. Lines::At<q>(line): the weights
// of columns 4 q to 4 q + 3; sixteen columns are Lines::kBytes. Inlined, because a call keeps the
// sums in memory, and int8 then takes twice the cycles on a Cortex-A76 (./dev bench arm).
// kChainsOfOne: number of chains of dependent sums for a single input in a register of rows. In
// long groups two chains hide more latency on a core that decodes five instructions per cycle.
template <int kChainsOfOne, typename Quads, typename Lines, int kInputs>
[[gnu::always_inline]] inline void AddQuadDots(const Lines& lines, const uint8_t* line,
                                               const int8_t* codes, int64_t code_stride,
                                               int64_t columns, I (&sums)[kInputs]) {
  constexpr int kChains = kInputs == 1 ? kChainsOfOne : 1;
  I more[kChains] = {};
  for (const int8_t* const end = codes + columns; codes != end; codes += 16) {
    const auto add = [&]<int kQuad>() {
      const W weights = lines.template At<kQuad>(line);
      for (int t = 0; t < kInputs; ++t) {
        I& sum = kQuad % kChains == 0 ? sums[t] : more[kQuad % kChains];
        sum = Quads(codes + t * code_stride).template AddedTo<kQuad>(sum, weights);
      }
    };
    add.template operator()<0>();
    add.template operator()<1>();
    add.template operator()<2>();
    add.template operator()<3>();
    line += Lines::kBytes;
  }
  if constexpr (kChains == 2) {
    sums[0] = AddInt(sums[0], more[1]);
  }
}

// --- int8 ---

// A line has four columns.
struct Int8Lines {
  static constexpr int64_t kBytes = 4 * kLineBytes;

  template <int kQuad>
  [[nodiscard]] W At(const uint8_t* line) const {
    __builtin_prefetch(line + kQuad * kLineBytes + kPrefetchBytes);
    return LoadBytes(line + kQuad * kLineBytes);
  }
};

// One row of inputs, two lines at a time: two products of at most 128 · 127 sum to 32512 < 2^15.
// first: even, because a sum is joined from two lanes of `low` or of `high`.
template <typename Words>
inline I Int8WordDot(const uint8_t* line, const int8_t* codes, int64_t quads, int32_t first) {
  I low = SetInt(first / 2);
  I high = low;
  for (int64_t q = 0; q < quads; q += 2) {
    __builtin_prefetch(line + kPrefetchBytes);
    Words words(LoadBytes(line), codes + q * 4);
    words.Add(LoadBytes(line + kLineBytes), codes + q * 4 + 4);
    words.AddTo(low, high);
    line += 2 * kLineBytes;
  }
  return Words::Joined(low, high);
}

// Sums over a group of columns, for some rows of inputs from `input` on. Sums start with kSumBits
// and the correction for the weights' offset. Inlined for the same reason as AddQuadDots.
template <bool kGrouped, int kInputs>
[[gnu::always_inline]] inline void Int8Dots(const uint8_t* line, const InputRows& in, int64_t input,
                                            int64_t g, int64_t quads, I (&sums)[kInputs]) {
  const int64_t code_stride = in.code_stride;
  const int8_t* codes = in.codes + input * code_stride + g * in.group;
  const auto first = [&](int t) {
    return kSumBits - kSignedRaise * in.sums[(input + t) * in.groups + g];
  };
  if constexpr (kInputs == 1 && !std::is_void_v<WordSums>) {
    sums[0] = Int8WordDot<WordSums>(line, codes, quads, first(0));
    return;
  }
  if constexpr (!std::is_void_v<InputQuads>) {
    for (int t = 0; t < kInputs; ++t) {
      sums[t] = SetInt(first(t));
    }
    AddQuadDots<kGrouped ? 1 : 2, InputQuads>(Int8Lines{}, line, codes, code_stride, quads * 4,
                                              sums);
    return;
  }
  // A single input would be one chain of dependent sums: four partial sums hide their latency.
  constexpr int kChains = kInputs == 1 ? 4 : 1;
  I dots[kInputs][kChains];
  for (int t = 0; t < kInputs; ++t) {
    for (int chain = 0; chain < kChains; ++chain) {
      dots[t][chain] = SetInt(chain == 0 ? first(t) : 0);
    }
  }
  for (int64_t q = 0; q < quads; q += kChains) {
    for (int chain = 0; chain < kChains; ++chain) {
      __builtin_prefetch(line + kPrefetchBytes);
      const W weights = Raise(LoadBytes(line));
      for (int t = 0; t < kInputs; ++t) {
        dots[t][chain] =
            DotSigned(dots[t][chain], weights, codes + t * code_stride + (q + chain) * 4);
      }
      line += kLineBytes;
    }
  }
  for (int t = 0; t < kInputs; ++t) {
    sums[t] = dots[t][0];
    for (int chain = 1; chain < kChains; ++chain) {
      sums[t] = AddInt(sums[t], dots[t][chain]);
    }
  }
}

// kGrouped: one scale per group of a row, else one per row.
template <bool kGrouped, int kInputs>
inline void Int8Panel(const Product& p, int64_t panel, int64_t input) {
  const InputRows& in = p.inputs;
  const auto* line =
      static_cast<const uint8_t*>(p.packed) + panel * kLanes * ((p.columns + 63) / 64 * 64);
  F sums[kInputs];
  for (F& sum : sums) {
    sum = Set(0.0F);
  }
  for (int64_t g = 0; g < in.groups; ++g) {
    const int64_t left = (p.columns - g * in.group + 63) / 64 * 64;
    const int64_t quads = Smaller(in.group, left) / 4;
    I dots[kInputs];
    Int8Dots<kGrouped, kInputs>(line, in, input, g, quads, dots);
    line += quads * kLineBytes;
    for (int t = 0; t < kInputs; ++t) {
      F scale = Set(in.scales[(input + t) * in.groups + g]);
      if constexpr (kGrouped) {
        const auto* scales = static_cast<const uint16_t*>(p.scales);
        scale = Mul(LoadHalves(scales + (panel * in.groups + g) * kLanes), scale);
      }
      sums[t] = Add(sums[t], Mul(SumToFloat(dots[t]), scale));
    }
  }
  for (F& sum : sums) {
    if constexpr (!kGrouped) {
      sum = Mul(sum, Load(static_cast<const float*>(p.scales) + panel * kLanes));
    }
  }
  for (int t = 0; t < kInputs; ++t) {
    StorePanel(p, panel, input + t, sums[t]);
  }
}

template <bool kGrouped>
inline void Int8Product(const Product& p, int64_t first_panel, int64_t end_panel) {
  for (int64_t panel = first_panel; panel < end_panel; ++panel) {
    OverInputs(p.inputs.count,
               [&]<int kInputs>(int64_t input) { Int8Panel<kGrouped, kInputs>(p, panel, input); });
  }
}

// --- 4 bit ---

enum class Nibble { kSymmetric, kAsymmetric, kTable };

// The offset added to a code before it is multiplied.
template <Nibble kKind>
constexpr int32_t NibbleRaise() {
  return kKind == Nibble::kSymmetric ? 8 : kKind == Nibble::kTable ? kSignedRaise : 0;
}

template <Nibble kKind>
inline I NibbleDot(I dot, const Table& table, W nibbles, const int8_t* codes) {
  if constexpr (kKind == Nibble::kTable) {
    return DotSigned(dot, LookUp(table, nibbles), codes);
  } else {
    return DotNibbles(dot, nibbles, codes);
  }
}

// A line has four columns in its low halves and four in its high halves.
template <Nibble kKind>
struct NibbleLines {
  static constexpr int64_t kBytes = 2 * kLineBytes;
  Table table;

  template <int kQuad>
  [[nodiscard]] W At(const uint8_t* line) const {
    const uint8_t* of_quad = line + kQuad / 2 * kLineBytes;
    if constexpr (kQuad % 2 == 0) {
      __builtin_prefetch(of_quad + kPrefetchBytes);
    }
    const W bytes = LoadBytes(of_quad);
    const W nibbles = kQuad % 2 == 0 ? LowNibbles(bytes) : HighNibbles(bytes);
    return kKind == Nibble::kTable ? LookUp(table, nibbles) : nibbles;
  }
};

// Adds one group's part to the sum of a row of inputs. scales: for this panel and group.
template <Nibble kKind>
inline F AddGroup(F sum, F dot, const uint16_t* scales, const InputRows& in, int64_t place) {
  const F scale = Set(in.scales[place]);
  sum = Add(sum, Mul(dot, Mul(LoadHalves(scales), scale)));
  if constexpr (kKind == Nibble::kAsymmetric) {
    const float inputs_sum = in.scales[place] * static_cast<float>(in.sums[place]);
    sum = Add(sum, Mul(LoadHalves(scales + kLanes), Set(inputs_sum)));
  }
  return sum;
}

// One row of inputs. For nibbles from 0 to 15, eight products of at most 15 · 127 sum to 15240, and
// two such sums to 30480 < 2^15: four lines. For levels up to 127, two products: one line.
template <Nibble kKind, typename Words>
inline I NibbleWordDot(const Table& table, const uint8_t* line, const int8_t* codes,
                       int64_t columns) {
  if constexpr (kKind == Nibble::kTable) {
    I low = SetInt(0);
    I high = SetInt(0);
    for (int64_t c = 0; c < columns; c += 8) {
      __builtin_prefetch(line + kPrefetchBytes);
      const W bytes = LoadBytes(line);
      Words words(LookUp(table, LowNibbles(bytes)), codes + c);
      words.Add(LookUp(table, HighNibbles(bytes)), codes + c + 4);
      words.AddTo(low, high);
      line += kLineBytes;
    }
    return Words::Joined(low, high);
  } else {
    constexpr int kLines = 4;  // groups have 32 columns or a multiple
    I sum = SetInt(0);
    for (int64_t c = 0; c < columns; c += 8 * kLines) {
      __builtin_prefetch(line + kPrefetchBytes);
      const W first = LoadBytes(line);
      Words words(LowNibbles(first), codes + c);
      words.Add(HighNibbles(first), codes + c + 4);
#pragma GCC unroll 3
      for (int i = 1; i < kLines; ++i) {
        __builtin_prefetch(line + i * kLineBytes + kPrefetchBytes);
        const W bytes = LoadBytes(line + i * kLineBytes);
        words.Add(LowNibbles(bytes), codes + c + 8 * i);
        words.Add(HighNibbles(bytes), codes + c + 8 * i + 4);
      }
      sum = words.AddedTo(sum);
      line += kLines * kLineBytes;
    }
    return sum;
  }
}

// Sums over a group of columns, for some rows of inputs.
template <Nibble kKind, int kInputs>
inline void NibbleDots(const Table& table, const uint8_t* line, const int8_t* codes,
                       int64_t code_stride, int64_t columns, I (&sums)[kInputs]) {
  if constexpr (kInputs == 1 && !std::is_void_v<WordSums>) {
    sums[0] = NibbleWordDot<kKind, WordSums>(table, line, codes, columns);
    return;
  }
  constexpr int kChains = kInputs == 1 ? 2 : 1;  // one input: separate sums for low and high halves
  I dots[kInputs][kChains];
  for (auto& chains : dots) {
    for (I& dot : chains) {
      dot = SetInt(0);
    }
  }
  for (int64_t c = 0; c < columns; c += 8) {
    __builtin_prefetch(line + kPrefetchBytes);
    const W bytes = LoadBytes(line);
    const W low = LowNibbles(bytes);
    const W high = HighNibbles(bytes);
    for (int t = 0; t < kInputs; ++t) {
      const int8_t* quads = codes + t * code_stride + c;
      dots[t][0] = NibbleDot<kKind>(dots[t][0], table, low, quads);
      dots[t][kChains - 1] = NibbleDot<kKind>(dots[t][kChains - 1], table, high, quads + 4);
    }
    line += kLineBytes;
  }
  for (int t = 0; t < kInputs; ++t) {
    sums[t] = kChains == 1 ? dots[t][0] : AddInt(dots[t][0], dots[t][kChains - 1]);
  }
}

template <Nibble kKind, int kInputs>
inline void NibblePanel(const Product& p, int64_t panel, int64_t input) {
  // Whether sums start with the correction for the codes' offset; otherwise it is added at the end.
  constexpr bool kFromRaise = !std::is_void_v<InputQuads>;
  constexpr int64_t kScalesOfGroup = kKind == Nibble::kAsymmetric ? 2 * kLanes : kLanes;
  const InputRows& in = p.inputs;
  const Table table = MakeTable(kNf4Levels);
  const auto* line = static_cast<const uint8_t*>(p.packed) + panel * kLanes * p.columns / 2;
  const uint16_t* scales =
      static_cast<const uint16_t*>(p.scales) + panel * in.groups * kScalesOfGroup;
  const int8_t* codes = in.codes + input * in.code_stride;
  F sums[kInputs];
  for (F& sum : sums) {
    sum = Set(0.0F);
  }
  for (int64_t g = 0; g < in.groups; ++g) {
    I dots[kInputs];
    if constexpr (kFromRaise) {
      for (int t = 0; t < kInputs; ++t) {
        dots[t] = SetInt(kSumBits - NibbleRaise<kKind>() * in.sums[(input + t) * in.groups + g]);
      }
      AddQuadDots<1, InputQuads>(NibbleLines<kKind>{table}, line, codes, in.code_stride, p.group,
                                 dots);
    } else {
      NibbleDots<kKind, kInputs>(table, line, codes, in.code_stride, p.group, dots);
    }
    line += p.group / 8 * kLineBytes;
    codes += p.group;
    for (int t = 0; t < kInputs; ++t) {
      const int64_t place = (input + t) * in.groups + g;
      if constexpr (kFromRaise) {
        sums[t] = AddGroup<kKind>(sums[t], SumToFloat(dots[t]), scales, in, place);
      } else {
        const I dot = AddInt(SetInt(-NibbleRaise<kKind>() * in.sums[place]), dots[t]);
        sums[t] = AddGroup<kKind>(sums[t], ToFloat(dot), scales, in, place);
      }
    }
    scales += kScalesOfGroup;
  }
  for (int t = 0; t < kInputs; ++t) {
    StorePanel(p, panel, input + t, sums[t]);
  }
}

template <Nibble kKind>
inline void NibbleProduct(const Product& p, int64_t first_panel, int64_t end_panel) {
  for (int64_t panel = first_panel; panel < end_panel; ++panel) {
    OverInputs(p.inputs.count,
               [&]<int kInputs>(int64_t input) { NibblePanel<kKind, kInputs>(p, panel, input); });
  }
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_PRODUCTS_INL_H_
