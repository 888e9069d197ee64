// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The loops of training that touch every weight or activation: AdamW, the norm of the gradients,
// the counter-based generator and dropout. Plain loops, compiled with the flags of the file that
// includes this one. GCC 12 makes vectors of AdamW's loop alone; the generator and the norm stay
// scalar. Nothing is reordered or fused, so the bits are those of the plain loop on every
// instruction set, and an exact resume may change machines.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_TRAINING_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_TRAINING_INL_H_

#include <cstdint>

#include "worker/engine/kernels/isa/kernel_table.h"
#include "worker/engine/kernels/philox_constants.h"

namespace wattle::kernels {
namespace {

inline void AdamW(const AdamWPass& pass) {
  float* __restrict weights = pass.weights;
  const float* __restrict gradients = pass.gradients;
  float* __restrict first = pass.first_moments;
  float* __restrict second = pass.second_moments;
  for (int64_t i = 0; i < pass.count; ++i) {
    const float gradient = gradients[i] * pass.gradient_scale;
    const float m = pass.beta1 * first[i] + pass.rest1 * gradient;
    const float v = pass.beta2 * second[i] + pass.rest2 * gradient * gradient;
    first[i] = m;
    second[i] = v;
    weights[i] = weights[i] * pass.keep -
                 pass.rate * m / (__builtin_sqrtf(v) * pass.inverse_root + pass.epsilon);
  }
}

inline double SquaresSum(const float* values, int64_t count) {
  constexpr int64_t kPartialSums = 8;  // independent: eight doubles are one vector of AVX-512
  double sums[kPartialSums] = {};
  int64_t i = 0;
  for (; i + kPartialSums <= count; i += kPartialSums) {
    for (int64_t lane = 0; lane < kPartialSums; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      sums[lane] += value * value;
    }
  }
  for (; i < count; ++i) {
    sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  double total = 0.0;
  for (const double sum : sums) {
    total += sum;
  }
  return total;
}

constexpr int kBlocks = 16;          // of four numbers, computed together
constexpr int kChunk = kBlocks * 4;  // numbers computed together

// The blocks first_block … first_block + kBlocks - 1, as numbers in element order.
inline void PhiloxBlocks(const PhiloxCounter& counter, uint32_t first_block, uint32_t* out) {
  uint32_t c0[kBlocks];
  uint32_t c1[kBlocks];
  uint32_t c2[kBlocks];
  uint32_t c3[kBlocks];
  for (int lane = 0; lane < kBlocks; ++lane) {
    c0[lane] = first_block + static_cast<uint32_t>(lane);
    c1[lane] = counter.words[0];
    c2[lane] = counter.words[1];
    c3[lane] = counter.words[2];
  }
  uint32_t k0 = counter.key[0];
  uint32_t k1 = counter.key[1];
  for (int round = 0; round < kRounds; ++round) {
    for (int lane = 0; lane < kBlocks; ++lane) {
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
  for (int lane = 0; lane < kBlocks; ++lane) {
    out[4 * lane] = c0[lane];
    out[4 * lane + 1] = c1[lane];
    out[4 * lane + 2] = c2[lane];
    out[4 * lane + 3] = c3[lane];
  }
}

inline void PhiloxBits(const PhiloxCounter& counter, int64_t first_element, int64_t count,
                       uint32_t* out) {
  uint32_t chunk[kChunk];
  for (int64_t done = 0; done < count;) {
    const int64_t element = first_element + done;
    const int64_t skip = element % 4;
    PhiloxBlocks(counter, static_cast<uint32_t>(element / 4), chunk);
    const int64_t take = kChunk - skip < count - done ? kChunk - skip : count - done;
    for (int64_t i = 0; i < take; ++i) {
      out[done + i] = chunk[skip + i];
    }
    done += take;
  }
}

inline void DropOut(const PhiloxCounter& counter, const DropoutPass& pass) {
  uint32_t chunk[kChunk];
  for (int64_t done = 0; done < pass.count;) {
    const int64_t element = pass.first_element + done;
    const int64_t skip = element % 4;
    PhiloxBlocks(counter, static_cast<uint32_t>(element / 4), chunk);
    const int64_t left = pass.count - done;
    const int64_t take = kChunk - skip < left ? kChunk - skip : left;
    float* __restrict values = pass.values + done;
    const uint32_t* __restrict bits = chunk + skip;
    for (int64_t i = 0; i < take; ++i) {
      values[i] *= bits[i] < pass.threshold ? 0.0F : pass.scale;
    }
    done += take;
  }
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_TRAINING_INL_H_
