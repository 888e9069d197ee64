// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Philox4x32-10 and what is drawn from it. The loops run over lanes of whole blocks, so that the
// compiler vectorizes them.
#include "worker/engine/kernels/random.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace wattle::kernels {
namespace {

// Multipliers and Weyl constants of the paper, section 3.3 (Random123's philox.h).
constexpr uint32_t kMultiplier0 = 0xD2511F53U;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57U;
constexpr uint32_t kWeyl0 = 0x9E3779B9U;
constexpr uint32_t kWeyl1 = 0xBB67AE85U;
constexpr int kRounds = 10;
constexpr int kLanes = 16;                          // blocks computed together
constexpr int kChunk = kLanes * 4;                  // numbers computed together
constexpr int64_t kMaxElements = int64_t{1} << 34;  // a 32-bit block counter of four numbers each

// The blocks first_block … first_block + kLanes - 1, as numbers in element order.
void Blocks(const RandomStream& stream, uint32_t first_block, uint32_t* out) {
  uint32_t c0[kLanes];
  uint32_t c1[kLanes];
  uint32_t c2[kLanes];
  uint32_t c3[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    c0[lane] = first_block + static_cast<uint32_t>(lane);
    c1[lane] = static_cast<uint32_t>(stream.step >> 32);
    c2[lane] = (stream.layer << 8) | static_cast<uint32_t>(stream.use);
    c3[lane] = static_cast<uint32_t>(stream.step);
  }
  auto k0 = static_cast<uint32_t>(stream.seed);
  auto k1 = static_cast<uint32_t>(stream.seed >> 32);
  for (int round = 0; round < kRounds; ++round) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t product0 = static_cast<uint64_t>(kMultiplier0) * c0[lane];
      const uint64_t product1 = static_cast<uint64_t>(kMultiplier1) * c2[lane];
      c0[lane] = static_cast<uint32_t>(product1 >> 32) ^ c1[lane] ^ k0;
      c1[lane] = static_cast<uint32_t>(product1);
      c2[lane] = static_cast<uint32_t>(product0 >> 32) ^ c3[lane] ^ k1;
      c3[lane] = static_cast<uint32_t>(product0);
    }
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    *out++ = c0[lane];
    *out++ = c1[lane];
    *out++ = c2[lane];
    *out++ = c3[lane];
  }
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(kMultiplier0) * counter[0];
    const uint64_t product1 = static_cast<uint64_t>(kMultiplier1) * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

void RandomBits(const RandomStream& stream, int64_t first_element, int64_t count, uint32_t* out) {
  WATTLE_CHECK(first_element >= 0 && first_element + count <= kMaxElements,
               "a stream holds 2^34 numbers");
  uint32_t chunk[kChunk];
  int64_t done = 0;
  while (done < count) {
    const int64_t element = first_element + done;
    const int64_t skip = element % 4;
    Blocks(stream, static_cast<uint32_t>(element / 4), chunk);
    const int64_t take = std::min<int64_t>(kChunk - skip, count - done);
    std::copy(chunk + skip, chunk + skip + take, out + done);
    done += take;
  }
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
                  float* values) {
  WATTLE_CHECK(rate >= 0.0 && rate < 1.0, "a dropout rate is in [0, 1)");
  const auto threshold = static_cast<uint32_t>(rate * 0x1.0p32);
  const auto scale = static_cast<float>(1.0 / (1.0 - rate));
  uint32_t bits[kChunk];
  int64_t done = 0;
  while (done < count) {
    const int64_t element = first_element + done;
    const int64_t take = std::min<int64_t>(kChunk - element % 4, count - done);
    RandomBits(stream, element, take, bits);
    for (int64_t i = 0; i < take; ++i) {
      const float factor = bits[i] < threshold ? 0.0F : scale;
      values[done + i] *= factor;
    }
    done += take;
  }
}

}  // namespace wattle::kernels
