// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/adamw_8bit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace wattle::kernels {
namespace {

constexpr int kCodes = 256;
constexpr int kZeroCode = 127;  // for first moments
constexpr int kDecades = 7;     // max_exponent_bits

// The magnitudes above zero, ascending: each decade has twice as many levels as the one below, at
// the centres of equal intervals; the last level is 1. finest: number of levels in the lowest
// decade.
std::array<float, kCodes> Magnitudes(int finest) {
  std::array<float, kCodes> levels = {};
  size_t next = 1;  // after the zero
  for (int decade = 0; decade < kDecades; ++decade) {
    const int count = finest << decade;
    const double size = std::pow(10.0, decade + 1 - kDecades);
    for (int i = 0; i < count; ++i) {
      levels[next++] = static_cast<float>(size * (0.1 + 0.9 * (i + 0.5) / count));
    }
  }
  levels[next] = 1.0F;
  return levels;
}

// Finds the nearest of ascending magnitudes from 0 to 1. A magnitude's exponent and first eight
// fraction bits select a bucket; buckets are so fine that each contains at most one border between
// two levels.
class NearestLevel {
 public:
  // count: number of levels.
  NearestLevel(const std::array<float, kCodes>& levels, int count) {
    for (int i = 0; i < kCodes; ++i) {
      const auto at = static_cast<size_t>(i);
      borders_[at] = i + 1 < count ? (levels[at] + levels[at + 1]) / 2
                                   : std::numeric_limits<float>::infinity();
    }
    for (int bucket = 0; bucket < kBuckets; ++bucket) {
      const auto bits = static_cast<uint32_t>(bucket + kLowestBucket) << kShift;
      float lowest = 0.0F;
      std::memcpy(&lowest, &bits, sizeof(lowest));
      lowest = bucket == 0 ? 0.0F : lowest;
      uint8_t code = 0;
      while (lowest > borders_[code]) {
        ++code;
      }
      first_[static_cast<size_t>(bucket)] = code;
    }
  }

  // magnitude: from 0 to 1.
  [[nodiscard]] int Of(float magnitude) const {
    uint32_t bits = 0;
    std::memcpy(&bits, &magnitude, sizeof(bits));
    const int bucket =
        std::clamp(static_cast<int>(bits >> kShift) - kLowestBucket, 0, kBuckets - 1);
    const uint8_t code = first_[static_cast<size_t>(bucket)];
    return code + (magnitude > borders_[code] ? 1 : 0);
  }

 private:
  static constexpr int kShift = 15;                       // keeps the exponent and eight bits
  static constexpr int kLowestBucket = (127 - 24) * 256;  // 2^-24: below every border
  static constexpr int kBuckets = 24 * 256 + 1;           // up to 1

  std::array<float, kCodes> borders_ = {};  // above this, the next level: half-way between the two
  std::array<uint8_t, kBuckets> first_ = {};
};

struct Levels {
  std::array<float, kCodes> first = {};
  std::array<float, kCodes> second = Magnitudes(2);
  NearestLevel nearest_first = NearestLevel(Magnitudes(1), kCodes - kZeroCode);
  NearestLevel nearest_second = NearestLevel(second, kCodes);

  Levels() {
    const std::array<float, kCodes> magnitudes = Magnitudes(1);
    for (int code = 0; code < kCodes; ++code) {
      const float magnitude = magnitudes[static_cast<size_t>(std::abs(code - kZeroCode))];
      first[static_cast<size_t>(code)] = code < kZeroCode ? -magnitude : magnitude;
    }
  }

  [[nodiscard]] uint8_t FirstCode(float value) const {
    const int nearest = nearest_first.Of(std::abs(value));
    // The negative side has no level of -1.
    return static_cast<uint8_t>(value < 0.0F ? kZeroCode - std::min(nearest, kZeroCode)
                                             : kZeroCode + nearest);
  }
  [[nodiscard]] uint8_t SecondCode(float value) const {
    return static_cast<uint8_t>(std::max(nearest_second.Of(value), value > 0.0F ? 1 : 0));
  }
};

const Levels& TheLevels() {
  static const Levels kLevels;
  return kLevels;
}

float LargestMagnitude(const float* values, int64_t count) {
  float largest = 0.0F;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(values[i]));
  }
  return largest;
}

// The divisor of a scale: where the scale is 0, all numbers of its block are 0.
float Divisor(float scale) {
  return scale > 0.0F ? scale : 1.0F;
}

void UpdateBlock(const AdamWScalars& scalars, const Levels& levels, const AdamW8bitState& block) {
  float first[kMomentBlock];
  float second[kMomentBlock];
  const float first_scale = *block.first_scales;
  const float second_scale = *block.second_scales;
  for (int64_t i = 0; i < block.count; ++i) {
    first[i] = levels.first[block.first_codes[i]] * first_scale;
    second[i] = levels.second[block.second_codes[i]] * second_scale;
  }
  for (int64_t i = 0; i < block.count; ++i) {
    const float gradient = block.gradients[i] * scalars.gradient_scale;
    first[i] = scalars.beta1 * first[i] + scalars.rest1 * gradient;
    second[i] = scalars.beta2 * second[i] + scalars.rest2 * gradient * gradient;
    block.weights[i] =
        block.weights[i] * scalars.keep -
        scalars.rate * first[i] / (std::sqrt(second[i]) * scalars.inverse_root + scalars.epsilon);
  }
  // New scales from the updated moments; the update above used them unrounded.
  *block.first_scales = LargestMagnitude(first, block.count);
  *block.second_scales = LargestMagnitude(second, block.count);
  const float first_divisor = Divisor(*block.first_scales);
  const float second_divisor = Divisor(*block.second_scales);
  for (int64_t i = 0; i < block.count; ++i) {
    block.first_codes[i] = levels.FirstCode(first[i] / first_divisor);
    block.second_codes[i] = levels.SecondCode(second[i] / second_divisor);
  }
}

}  // namespace

absl::Span<const float> FirstMomentLevels() {
  return TheLevels().first;
}

absl::Span<const float> SecondMomentLevels() {
  return TheLevels().second;
}

uint8_t FirstMomentCode(float value) {
  return TheLevels().FirstCode(value);
}

uint8_t SecondMomentCode(float value) {
  return TheLevels().SecondCode(value);
}

void AdamW8bitUpdate(const AdamWStep& step, const AdamW8bitState& state) {
  const AdamWScalars scalars = ScalarsOf(step);
  const Levels& levels = TheLevels();
  for (int64_t begin = 0; begin < state.count; begin += kMomentBlock) {
    const int64_t block = begin / kMomentBlock;
    UpdateBlock(scalars, levels,
                {.weights = state.weights + begin,
                 .gradients = state.gradients + begin,
                 .first_codes = state.first_codes + begin,
                 .first_scales = state.first_scales + block,
                 .second_codes = state.second_codes + begin,
                 .second_scales = state.second_scales + block,
                 .count = std::min(kMomentBlock, state.count - begin)});
  }
}

}  // namespace wattle::kernels
