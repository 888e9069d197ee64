// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Inner loops of products with int8 inputs on NEON without a dot product, sixteen rows and one
// input: Wattle's multiplications, summed in 16 bits while the sums fit, the same with every sum
// widened to 32 bits at once, and for int4 table look-ups (Wei et al., "T-MAC", 2024).
// bench/tmac.py compiles this file for a Cortex-A72, lets llvm-mca count the cycles between the
// marks, and runs main, which compares the sums of the loops, under qemu.
//
// For look-ups the weights are stored in bit planes: an index of four bits holds one bit of four
// columns. The table of four columns has the sums of all sixteen subsets of its inputs, so a
// look-up covers sixteen rows times four columns of one plane. Four int8 inputs sum to ten bits,
// but one look-up yields eight: either each sum is two look-ups, or it is rounded to eight bits.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "worker/engine/kernels/isa/lanes_neon.h"
#include "worker/engine/kernels/nf4_levels.h"

#define MARK_BEGIN(name) __asm volatile("# LLVM-MCA-BEGIN " name)
#define MARK_END() __asm volatile("# LLVM-MCA-END")

namespace wattle::kernels {
namespace {

constexpr int kRows = 16;
constexpr int kPlanes = 4;
constexpr int64_t kLineBytes = 64;   // sixteen rows times eight columns, four bits each
constexpr int64_t kLineColumns = 8;  // two tables

// Sums of the planes, 16 bits: enough for 64 columns of int8 inputs.
struct PlaneSums {
  int16x8_t low[kPlanes];   // rows 0 to 7
  int16x8_t high[kPlanes];  // rows 8 to 15
};

}  // namespace

// lines: as PackNibbles lays them out. The loop of NibbleWordDot (products_inl.h).
__attribute__((noinline)) void Multiply(const uint8_t* line, const int8_t* codes, int64_t columns,
                                        I* out) {
  I sum = SetInt(0);
  for (int64_t c = 0; c < columns; c += 4 * kLineColumns) {
    MARK_BEGIN("int4");
    const W first = LoadBytes(line);
    WordSums words(LowNibbles(first), codes + c);
    words.Add(HighNibbles(first), codes + c + 4);
#pragma GCC unroll 3
    for (int i = 1; i < 4; ++i) {
      const W bytes = LoadBytes(line + i * kLineBytes);
      words.Add(LowNibbles(bytes), codes + c + i * kLineColumns);
      words.Add(HighNibbles(bytes), codes + c + i * kLineColumns + 4);
    }
    sum = words.AddedTo(sum);
    line += 4 * kLineBytes;
    MARK_END();
  }
  *out = sum;
}

// The loop of NibbleDots, for several inputs.
__attribute__((noinline)) void MultiplyAtOnce(const uint8_t* line, const int8_t* codes,
                                              int64_t columns, I* out) {
  I low = SetInt(0);
  I high = SetInt(0);
  for (int64_t c = 0; c < columns; c += kLineColumns) {
    MARK_BEGIN("int4-32-bit");
    const W bytes = LoadBytes(line);
    low = DotNibbles(low, LowNibbles(bytes), codes + c);
    high = DotNibbles(high, HighNibbles(bytes), codes + c + 4);
    line += kLineBytes;
    MARK_END();
  }
  *out = AddInt(low, high);
}

// The loop of NibbleWordDot for levels.
__attribute__((noinline)) void MultiplyLevels(const uint8_t* line, const int8_t* codes,
                                              int64_t columns, I* out) {
  const Table table = MakeTable(kNf4Levels);
  I low = SetInt(0);
  I high = SetInt(0);
  for (int64_t c = 0; c < columns; c += kLineColumns) {
    MARK_BEGIN("nf4");
    const W bytes = LoadBytes(line);
    WordSums words(LookUp(table, LowNibbles(bytes)), codes + c);
    words.Add(LookUp(table, HighNibbles(bytes)), codes + c + 4);
    words.AddTo(low, high);
    line += kLineBytes;
    MARK_END();
  }
  *out = WordSums::Joined(low, high);
}

__attribute__((noinline)) void MultiplyLevelsAtOnce(const uint8_t* line, const int8_t* codes,
                                                    int64_t columns, I* out) {
  const Table table = MakeTable(kNf4Levels);
  I low = SetInt(0);
  I high = SetInt(0);
  for (int64_t c = 0; c < columns; c += kLineColumns) {
    MARK_BEGIN("nf4-32-bit");
    const W bytes = LoadBytes(line);
    low = DotSigned(low, LookUp(table, LowNibbles(bytes)), codes + c);
    high = DotSigned(high, LookUp(table, HighNibbles(bytes)), codes + c + 4);
    line += kLineBytes;
    MARK_END();
  }
  *out = AddInt(low, high);
}

// line: sixteen rows times four columns of int8. The loop of Int8WordDot.
__attribute__((noinline)) void MultiplyBytes(const uint8_t* line, const int8_t* codes,
                                             int64_t columns, I* out) {
  I low = SetInt(0);
  I high = SetInt(0);
  for (int64_t c = 0; c < columns; c += 8) {
    MARK_BEGIN("int8");
    WordSums words(LoadBytes(line), codes + c);
    words.Add(LoadBytes(line + kLineBytes), codes + c + 4);
    words.AddTo(low, high);
    line += 2 * kLineBytes;
    MARK_END();
  }
  *out = WordSums::Joined(low, high);
}

__attribute__((noinline)) void MultiplyBytesAtOnce(const uint8_t* line, const int8_t* codes,
                                                   int64_t columns, I* out) {
  I sums[4] = {SetInt(0), SetInt(0), SetInt(0), SetInt(0)};
  for (int64_t c = 0; c < columns; c += 16) {
    MARK_BEGIN("int8-32-bit");
#pragma GCC unroll 4
    for (int chain = 0; chain < 4; ++chain) {
      sums[chain] = DotSigned(sums[chain], LoadBytes(line), codes + c + 4 * chain);
      line += kLineBytes;
    }
    MARK_END();
  }
  *out = AddInt(AddInt(sums[0], sums[1]), AddInt(sums[2], sums[3]));
}

// line: [plane][row], the bits of columns 0 to 3 in the low half of a byte. tables: int8 [2][16].
__attribute__((noinline)) void LookUpRounded(const uint8_t* line, const int8_t* tables,
                                             int64_t columns, PlaneSums* out) {
  PlaneSums sums = {};
  for (int64_t c = 0; c < columns; c += kLineColumns) {
    MARK_BEGIN("look-up-8-bit");
    const int8x16_t left = vld1q_s8(tables);
    const int8x16_t right = vld1q_s8(tables + 16);
#pragma GCC unroll 4
    for (int plane = 0; plane < kPlanes; ++plane) {
      const uint8x16_t indices = vld1q_u8(line + plane * kRows);
      const int8x16_t a = vqtbl1q_s8(left, vandq_u8(indices, vdupq_n_u8(0xF)));
      const int8x16_t b = vqtbl1q_s8(right, vshrq_n_u8(indices, 4));
      sums.low[plane] = vaddq_s16(sums.low[plane], vaddl_s8(vget_low_s8(a), vget_low_s8(b)));
      sums.high[plane] = vaddq_s16(sums.high[plane], vaddl_high_s8(a, b));
    }
    line += kLineBytes;
    tables += 2 * 16;
    MARK_END();
  }
  *out = sums;
}

// tables: [2][low bytes, high bytes][16] of int16 sums.
__attribute__((noinline)) void LookUpExact(const uint8_t* line, const uint8_t* tables,
                                           int64_t columns, PlaneSums* out) {
  PlaneSums sums = {};
  for (int64_t c = 0; c < columns; c += kLineColumns) {
    MARK_BEGIN("look-up-16-bit");
    uint8x16_t parts[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      parts[i] = vld1q_u8(tables + 16 * i);
    }
#pragma GCC unroll 4
    for (int plane = 0; plane < kPlanes; ++plane) {
      const uint8x16_t indices = vld1q_u8(line + plane * kRows);
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const uint8x16_t index =
            half == 0 ? vandq_u8(indices, vdupq_n_u8(0xF)) : vshrq_n_u8(indices, 4);
        const uint8x16_t a = vqtbl1q_u8(parts[2 * half], index);
        const uint8x16_t b = vqtbl1q_u8(parts[2 * half + 1], index);
        sums.low[plane] = vaddq_s16(sums.low[plane], vreinterpretq_s16_u8(vzip1q_u8(a, b)));
        sums.high[plane] = vaddq_s16(sums.high[plane], vreinterpretq_s16_u8(vzip2q_u8(a, b)));
      }
    }
    line += kLineBytes;
    tables += 4 * 16;
    MARK_END();
  }
  *out = sums;
}

namespace {

constexpr int64_t kColumns = 64;

// The sum of a row: its planes weigh 1, 2, 4 and 8.
int32_t RowSum(const PlaneSums& sums, int row) {
  int32_t total = 0;
  for (int plane = 0; plane < kPlanes; ++plane) {
    int16_t values[8];
    vst1q_s16(values, row < 8 ? sums.low[plane] : sums.high[plane]);
    total += (1 << plane) * values[row % 8];
  }
  return total;
}

using Loop = void (*)(const uint8_t* line, const int8_t* codes, int64_t columns, I* out);

// Whether two loops produce the same sums from the same bytes.
bool Same(Loop loop, Loop other, const uint8_t* line, const int8_t* codes, int64_t columns) {
  I sums;
  I others;
  loop(line, codes, columns, &sums);
  other(line, codes, columns, &others);
  for (int i = 0; i < 4; ++i) {
    if (vminvq_u32(vceqq_s32(sums.v[i], others.v[i])) == 0) {
      return false;
    }
  }
  return true;
}

// Compares the loops on drawn weights and inputs; false: two exact loops differ, or the rounded
// look-ups differ by more than the rounding explains.
bool Check(unsigned seed) {
  std::srand(seed);
  std::vector<int> weights(kRows * kColumns);  // [row][column], 0 to 15
  std::vector<int8_t> inputs(kColumns);
  for (int& weight : weights) {
    weight = std::rand() % 16;
  }
  for (int8_t& input : inputs) {
    input = static_cast<int8_t>(std::rand() % 255 - 127);
  }
  std::vector<uint8_t> nibbles(kRows * kColumns / 2);
  std::vector<uint8_t> planes(kRows * kColumns / 2);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t column = 0; column < kColumns; ++column) {
      const int weight = weights[static_cast<size_t>(row * kColumns + column)];
      const int64_t line = column / kLineColumns * kLineBytes;
      const int shift = column % kLineColumns < 4 ? 0 : 4;
      nibbles[static_cast<size_t>(line + row * 4 + column % 4)] |=
          static_cast<uint8_t>(weight << shift);
      for (int plane = 0; plane < kPlanes; ++plane) {
        planes[static_cast<size_t>(line + plane * kRows + row)] |=
            static_cast<uint8_t>((weight >> plane & 1) << (column % 4 + shift));
      }
    }
  }
  // A quarter of a sum of four int8 inputs fits into eight bits.
  constexpr int kDivisor = 4;
  std::vector<int8_t> rounded;
  std::vector<uint8_t> exact;
  for (int64_t first = 0; first < kColumns; first += 4) {
    int sums[16] = {};
    for (int index = 0; index < 16; ++index) {
      for (int bit = 0; bit < 4; ++bit) {
        sums[index] += (index >> bit & 1) * inputs[static_cast<size_t>(first + bit)];
      }
      rounded.push_back(static_cast<int8_t>(sums[index] / kDivisor));
    }
    for (const int shift : {0, 8}) {
      for (const int sum : sums) {
        exact.push_back(static_cast<uint8_t>(sum >> shift));
      }
    }
  }
  // Every byte is two nibbles; as int8, only -128 is not one of Wattle's codes.
  std::vector<uint8_t> bytes(nibbles);
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(byte == 0x80 ? 0x81 : byte);
  }
  if (!Same(Multiply, MultiplyAtOnce, nibbles.data(), inputs.data(), kColumns) ||
      !Same(MultiplyLevels, MultiplyLevelsAtOnce, nibbles.data(), inputs.data(), kColumns) ||
      !Same(MultiplyBytes, MultiplyBytesAtOnce, bytes.data(), inputs.data(), kColumns / 2)) {
    std::printf("seed %u: sums in 16 bits differ from those in 32\n", seed);
    return false;
  }
  I products;
  PlaneSums of_exact;
  PlaneSums of_rounded;
  Multiply(nibbles.data(), inputs.data(), kColumns, &products);
  LookUpExact(planes.data(), exact.data(), kColumns, &of_exact);
  LookUpRounded(planes.data(), rounded.data(), kColumns, &of_rounded);
  for (int row = 0; row < kRows; ++row) {
    int32_t values[4];
    vst1q_s32(values, products.v[row / 4]);
    const int32_t wanted = values[row % 4];
    // Each of 16 tables and 15 weights of planes may be off by less than the divisor.
    const int32_t allowed = kDivisor * 15 * static_cast<int32_t>(kColumns) / 4;
    if (RowSum(of_exact, row) != wanted ||
        std::abs(kDivisor * RowSum(of_rounded, row) - wanted) >= allowed) {
      std::printf("seed %u, row %d: products %d, exact look-ups %d, rounded ones %d\n", seed, row,
                  wanted, RowSum(of_exact, row), kDivisor * RowSum(of_rounded, row));
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace wattle::kernels

int main() {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    if (!wattle::kernels::Check(seed)) {
      return 1;
    }
  }
  return 0;
}
