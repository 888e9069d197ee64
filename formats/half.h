// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// IEEE 754 numbers of 16 bits (F16) and the upper half of a float (BF16) to float and back, the
// same on every processor. Pure.
#ifndef WATTLE_FORMATS_HALF_H_
#define WATTLE_FORMATS_HALF_H_

#include <bit>
#include <cstdint>

namespace wattle::formats {

[[nodiscard]] constexpr float FloatOfBf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

[[nodiscard]] constexpr float FloatOfF16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fU;
  const uint32_t fraction = bits & 0x3ffU;
  if (exponent == 0) {  // zero and subnormal numbers: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide = exponent == 0x1fU ? 0xffU : exponent + 112U;  // infinite and not a number
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

// Rounds to the nearest, ties to even; what is too large becomes infinite.
[[nodiscard]] constexpr uint16_t F16OfFloat(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {  // not a number
    return static_cast<uint16_t>(sign | 0x7e00U);
  }
  if (magnitude >= 0x477ff000U) {  // 65520 and above
    return static_cast<uint16_t>(sign | 0x7c00U);
  }
  if (magnitude < 0x38800000U) {  // below 2^-14: adding 0.5 rounds to a multiple of 2^-24
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000U));
  }
  const uint32_t odd = (magnitude >> 13) & 1U;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000U + 0xfffU + odd) >> 13));
}

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_HALF_H_
