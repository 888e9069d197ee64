// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sixteen lanes in plain C++: the operations that every other lanes_*.h implements with
// instructions, and the reference for each operation. A lane is a row of a panel, a position of a
// key panel, or a column.
//   F  16 floats     I  16 int32     W  64 bytes: 4 columns of each of 16 rows
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_PORTABLE_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_PORTABLE_H_

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/fp16.h"

namespace wattle::kernels {
namespace {

struct F {
  float v[16];
};
struct I {
  int32_t v[16];
};
struct W {
  uint8_t v[64];
};
// The two halves of products of 64 bits.
struct WideProduct {
  I high, low;
};

// The offset that is added to DotSigned's weights before they are multiplied, here 0; the caller
// subtracts the offset times the sum of the inputs.
constexpr int32_t kSignedRaise = 0;

// Rows of inputs that a product processes together if there are many: as many as registers allow.
constexpr int kInputBlock = 4;
// Panels that a product of FP32 weights processes together with that many rows.
constexpr int kFloatPanels = 2;
// Sums, each of one row of weights and one of inputs, that a product of few inputs processes
// together.
constexpr int kFloatDots = 16;

// Sums of products in 16 bits, for one row of inputs at a time (lanes_neon.h); void: 32 bits are as
// fast.
using WordSums = void;
// Sixteen columns of a row of inputs in one register (lanes_neon.h); void: four at a time are as
// fast.
using InputQuads = void;

template <typename Function>
inline F Each(Function function) {
  F out;
  for (int lane = 0; lane < 16; ++lane) {
    out.v[lane] = function(lane);
  }
  return out;
}

inline F Set(float value) {
  return Each([&](int) { return value; });
}
inline F Load(const float* from) {
  F out;
  std::memcpy(out.v, from, sizeof(out.v));
  return out;
}
inline void Store(float* to, F a) {
  std::memcpy(to, a.v, sizeof(a.v));
}
inline F Add(F a, F b) {
  return Each([&](int i) { return a.v[i] + b.v[i]; });
}
inline F Sub(F a, F b) {
  return Each([&](int i) { return a.v[i] - b.v[i]; });
}
inline F Mul(F a, F b) {
  return Each([&](int i) { return a.v[i] * b.v[i]; });
}
inline F Div(F a, F b) {
  return Each([&](int i) { return a.v[i] / b.v[i]; });
}
// a b + c, rounded once if the processor can: only for FP32 products.
inline F MulAdd(F a, F b, F c) {
  return Each([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
// The second argument if either is NaN, as in the processors' instructions.
inline F Max(F a, F b) {
  return Each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F Min(F a, F b) {
  return Each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F Abs(F a) {
  return Each([&](int i) { return std::fabs(a.v[i]); });
}
// Lane i with lane i + 8, then 4, 2, 1: the only order in which lanes are ever summed.
inline float ReduceAdd(F a) {
  for (int distance = 8; distance > 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) {
      a.v[i] += a.v[i + distance];
    }
  }
  return a.v[0];
}
inline float ReduceMax(F a) {
  float largest = a.v[0];
  for (const float lane : a.v) {
    largest = lane > largest ? lane : largest;
  }
  return largest;
}
// 2^n for integers n in [-126, 127].
inline F PowerOfTwo(F n) {
  return Each([&](int i) {
    const auto bits = static_cast<uint32_t>(static_cast<int32_t>(n.v[i]) + 127) << 23;
    float power = 0.0F;
    std::memcpy(&power, &bits, sizeof(power));
    return power;
  });
}

inline F LoadHalves(const uint16_t* from) {
  return Each([&](int i) { return FloatFromFp16(from[i]); });
}
// FP16 numbers times kSmallHalf, a power of two, if that is cheaper (lanes_neon.h).
constexpr float kSmallHalf = 1.0F;
inline F LoadSmallHalves(const uint16_t* from) {
  return LoadHalves(from);
}
// BF16 numbers: each is the upper half of a float.
inline F LoadBfloats(const uint16_t* from) {
  return Each([&](int i) {
    const uint32_t bits = uint32_t{from[i]} << 16;
    float value = 0.0F;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  });
}
inline F LoadInt8(const int8_t* from) {
  return Each([&](int i) { return static_cast<float>(from[i]); });
}

inline I SetInt(int32_t value) {
  I out;
  for (int32_t& lane : out.v) {
    lane = value;
  }
  return out;
}
inline I AddInt(I a, I b) {
  I out;
  for (int i = 0; i < 16; ++i) {
    out.v[i] = a.v[i] + b.v[i];
  }
  return out;
}
inline I XorInt(I a, I b) {
  for (int i = 0; i < 16; ++i) {
    a.v[i] ^= b.v[i];
  }
  return a;
}
inline I LoadInts(const uint32_t* from) {
  I a;
  std::memcpy(a.v, from, sizeof(a.v));
  return a;
}
inline void StoreInts(uint32_t* to, I a) {
  std::memcpy(to, a.v, sizeof(a.v));
}
// Lanes and factor are unsigned.
inline WideProduct MultiplyWide(I a, uint32_t factor) {
  WideProduct product;
  for (int i = 0; i < 16; ++i) {
    const uint64_t wide = static_cast<uint64_t>(static_cast<uint32_t>(a.v[i])) * factor;
    product.high.v[i] = static_cast<int32_t>(static_cast<uint32_t>(wide >> 32));
    product.low.v[i] = static_cast<int32_t>(static_cast<uint32_t>(wide));
  }
  return product;
}
// Lane i of the four words becomes the numbers 4 i to 4 i + 3 of 64 in a row.
inline void Interleave(I (&words)[4]) {
  int32_t numbers[64];
  for (int i = 0; i < 16; ++i) {
    for (int word = 0; word < 4; ++word) {
      numbers[4 * i + word] = words[word].v[i];
    }
  }
  for (int word = 0; word < 4; ++word) {
    std::memcpy(words[word].v, numbers + 16 * word, sizeof(words[word].v));
  }
}
// 0 if the lane's bits, unsigned, are below `least`.
inline F ZeroBelow(I bits, uint32_t least, F a) {
  return Each([&](int i) { return static_cast<uint32_t>(bits.v[i]) < least ? 0.0F : a.v[i]; });
}
inline F ToFloat(I a) {
  return Each([&](int i) { return static_cast<float>(a.v[i]); });
}
// Sums start with kSumBits, so that SumToFloat can be cheaper than a conversion (lanes_neon.h);
// |sum| < 2^22.
constexpr int32_t kSumBits = 0;
inline F SumToFloat(I sum) {
  return ToFloat(sum);
}

inline W LoadBytes(const uint8_t* from) {
  W out;
  std::memcpy(out.v, from, sizeof(out.v));
  return out;
}
// Signed bytes in the form of DotSigned's weights.
inline W Raise(W weights) {
  return weights;
}
inline W LowNibbles(W bytes) {
  for (uint8_t& byte : bytes.v) {
    byte = static_cast<uint8_t>(byte & 0xF);
  }
  return bytes;
}
inline W HighNibbles(W bytes) {
  for (uint8_t& byte : bytes.v) {
    byte = static_cast<uint8_t>(byte >> 4);
  }
  return bytes;
}
// Codes of six bits: the lower four in the low halves of bytes if kQuad is even, else in the high
// ones, and above them the bits 2 kQuad and 2 kQuad + 1 of `upper`.
template <int kQuad>
inline W SixBits(W nibbles, W upper) {
  for (int i = 0; i < 64; ++i) {
    const int lower = kQuad % 2 == 0 ? nibbles.v[i] & 0xF : nibbles.v[i] >> 4;
    nibbles.v[i] = static_cast<uint8_t>(lower | (upper.v[i] >> (2 * kQuad) & 0x3) << 4);
  }
  return nibbles;
}
struct Table {
  int8_t v[16];
};
inline Table MakeTable(const int8_t* levels) {
  Table table;
  std::memcpy(table.v, levels, sizeof(table.v));
  return table;
}
// table[nibble], in the form of DotSigned's weights.
inline W LookUp(const Table& table, W nibbles) {
  for (uint8_t& byte : nibbles.v) {
    byte = static_cast<uint8_t>(table.v[byte]);
  }
  return nibbles;
}
// sum[row] += Σ_j weights[row][j] inputs[j] over the four columns.
inline I DotSigned(I sum, W weights, const int8_t* inputs) {
  for (int row = 0; row < 16; ++row) {
    for (int j = 0; j < 4; ++j) {
      sum.v[row] += static_cast<int8_t>(weights.v[4 * row + j]) * inputs[j];
    }
  }
  return sum;
}
// Same for weights in [0, 63].
inline I DotNibbles(I sum, W weights, const int8_t* inputs) {
  return DotSigned(sum, weights, inputs);
}

// Sixteen codes of a row of inputs: rounded to the nearest even; |a| at most 127.
inline void StoreRounded(int8_t* to, F a) {
  for (int i = 0; i < 16; ++i) {
    // Adding 1.5 * 2^23 leaves the rounded number in the low bits.
    const float shifted = a.v[i] + 12582912.0F;
    uint32_t bits = 0;
    std::memcpy(&bits, &shifted, sizeof(bits));
    to[i] = static_cast<int8_t>(bits);
  }
}
inline int32_t SumBytes(const int8_t* from) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) {
    sum += from[i];
  }
  return sum;
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_LANES_PORTABLE_H_
