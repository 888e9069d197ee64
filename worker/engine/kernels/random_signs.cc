// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/random_signs.h"

#include <algorithm>
#include <array>

namespace wattle::kernels {
namespace {

constexpr int64_t kBits = 32;           // of a number
constexpr int64_t kNumbersAtOnce = 64;  // drawn together

constexpr std::array<uint32_t, kBits> SingleBits() {
  std::array<uint32_t, kBits> bits{};
  for (size_t i = 0; i < bits.size(); ++i) {
    bits[i] = 1U << i;
  }
  return bits;
}
constexpr std::array<uint32_t, kBits> kSingleBit = SingleBits();

// All bits of a word: a loop that compilers make vectors of.
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
