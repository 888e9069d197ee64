// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Philox4x32-10 and the draws from it. The long loops are in isa/training_inl.h.
#include "worker/engine/kernels/random.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 34;  // a 32-bit block counter of four numbers each

constexpr int64_t kBits = 32;           // bits of a number
constexpr int64_t kNumbersAtOnce = 64;  // numbers drawn together for signs

constexpr std::array<uint32_t, kBits> SingleBits() {
  std::array<uint32_t, kBits> bits{};
  for (size_t i = 0; i < bits.size(); ++i) {
    bits[i] = 1U << i;
  }
  return bits;
}
constexpr std::array<uint32_t, kBits> kSingleBit = SingleBits();

// All bits of a word, in a loop that compilers vectorize.
void AddWord(uint32_t word, float magnitude, float* values) {
  for (size_t i = 0; i < kBits; ++i) {
    values[i] += (word & kSingleBit[i]) != 0 ? magnitude : -magnitude;
  }
}

// `count` bits of a word from bit `first` on.
void AddPart(uint32_t word, float magnitude, int64_t first, int64_t count, float* values) {
  for (int64_t i = 0; i < count; ++i) {
    values[i] += ((word >> (first + i)) & 1U) != 0 ? magnitude : -magnitude;
  }
}

}  // namespace

PhiloxCounter CounterOf(const RandomStream& stream) {
  return {.words = {static_cast<uint32_t>(stream.step >> 32),
                    (stream.layer << 8) | static_cast<uint32_t>(stream.use),
                    static_cast<uint32_t>(stream.step)},
          .key = {static_cast<uint32_t>(stream.seed), static_cast<uint32_t>(stream.seed >> 32)}};
}

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(kPhiloxMultiplier0) * counter[0];
    const uint64_t product1 = static_cast<uint64_t>(kPhiloxMultiplier1) * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kPhiloxWeyl0;
    key[1] += kPhiloxWeyl1;
  }
  return counter;
}

void RandomBits(const RandomStream& stream, int64_t first_element, int64_t count, uint32_t* out,
                const KernelTable& kernels) {
  WATTLE_CHECK(first_element >= 0 && first_element + count <= kMaxElements,
               "a stream holds 2^34 numbers");
  kernels.philox_bits(CounterOf(stream), first_element, count, out);
}

float RandomUnit(const RandomStream& stream, int64_t element) {
  uint32_t bits = 0;
  RandomBits(stream, element, 1, &bits);
  return static_cast<float>(bits >> 8) * 0x1.0p-24F;
}

uint64_t RandomBelow(const RandomStream& stream, int64_t element, uint64_t bound) {
  WATTLE_CHECK(bound >= 1, "an empty range has no number");
  uint32_t bits[2];
  RandomBits(stream, 2 * element, 2, bits);
  const uint64_t wide = (static_cast<uint64_t>(bits[0]) << 32) | bits[1];
  return wide % bound;
}

void RandomNormal(const RandomStream& stream, float deviation, int64_t count, float* out) {
  constexpr double kTwoPi = 6.283185307179586;
  for (int64_t i = 0; i < count; i += 2) {
    uint32_t bits[2];
    RandomBits(stream, i, 2, bits);
    const double radius = std::sqrt(-2.0 * std::log((bits[0] + 1.0) * 0x1.0p-32));
    const double angle = kTwoPi * (bits[1] * 0x1.0p-32);
    out[i] = deviation * static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) {
      out[i + 1] = deviation * static_cast<float>(radius * std::sin(angle));
    }
  }
}

void ApplyDropout(const RandomStream& stream, double rate, int64_t first_element, int64_t count,
                  float* values, const KernelTable& kernels) {
  WATTLE_CHECK(first_element >= 0 && first_element + count <= kMaxElements,
               "a stream holds 2^34 numbers");
  WATTLE_CHECK(rate >= 0.0 && rate < 1.0, "a dropout rate is in [0, 1)");
  const auto threshold = static_cast<uint32_t>(rate * 0x1.0p32);
  const auto scale = static_cast<float>(1.0 / (1.0 - rate));
  kernels.drop_out(CounterOf(stream), {.threshold = threshold,
                                       .scale = scale,
                                       .first_element = first_element,
                                       .count = count,
                                       .values = values});
}

void AddRandomSigns(const RandomStream& stream, float magnitude, int64_t first_element,
                    int64_t count, float* values, const KernelTable& kernels) {
  uint32_t words[kNumbersAtOnce];
  int64_t number = first_element / kBits;
  int64_t bit = first_element % kBits;
  for (int64_t done = 0; done < count; number += kNumbersAtOnce) {
    const int64_t wanted = (bit + count - done + kBits - 1) / kBits;
    const int64_t drawn = std::min(kNumbersAtOnce, wanted);
    RandomBits(stream, number, drawn, words, kernels);
    for (int64_t i = 0; i < drawn; ++i) {
      const int64_t take = std::min(kBits - bit, count - done);
      if (take == kBits) {
        AddWord(words[i], magnitude, values + done);
      } else {
        AddPart(words[i], magnitude, bit, take, values + done);
      }
      done += take;
      bit = 0;
    }
  }
}

}  // namespace wattle::kernels
