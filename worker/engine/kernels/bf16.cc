// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/bf16.h"

#include <algorithm>
#include <bit>

namespace wattle::kernels {
namespace {

constexpr uint32_t kInfinity = 0x7F800000U;
constexpr uint32_t kMagnitude = 0x7FFFFFFFU;

}  // namespace

uint16_t Bf16FromFloat(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & kMagnitude) > kInfinity) {
    return static_cast<uint16_t>(bits >> 16 | 0x0040U);
  }
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

void WidenBf16(const uint16_t* numbers, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] = std::bit_cast<float>(static_cast<uint32_t>(numbers[i]) << 16);
  }
}

void RoundBf16Stochastically(const RandomStream& stream, int64_t first_element, const float* values,
                             int64_t count, uint16_t* numbers) {
  constexpr int64_t kPiece = 2048;
  uint32_t drawn[kPiece / 2 + 1];
  const int64_t odd = first_element % 2;
  for (int64_t done = 0; done < count; done += kPiece) {
    const int64_t some = std::min(kPiece, count - done);
    RandomBits(stream, (first_element + done) / 2, (odd + some + 1) / 2, drawn);
    for (int64_t i = 0; i < some; ++i) {
      const auto bits = std::bit_cast<uint32_t>(values[done + i]);
      const int64_t half = odd + i;
      const uint32_t added = half % 2 == 0 ? drawn[half / 2] & 0xFFFFU : drawn[half / 2] >> 16;
      // Non-finite values get no addend: a carry would turn them into other values.
      const bool finite = (bits & kInfinity) != kInfinity;
      const bool is_nan = (bits & kMagnitude) > kInfinity;
      numbers[done + i] =
          static_cast<uint16_t>((finite ? bits + added : bits | (is_nan ? 0x00400000U : 0U)) >> 16);
    }
  }
}

}  // namespace wattle::kernels
