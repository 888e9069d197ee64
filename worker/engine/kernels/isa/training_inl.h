// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The loops of training that touch every weight or activation: AdamW, the norm of the gradients,
// the counter-based generator, dropout and softmax. The last three use the sixteen lanes of
// lanes_*.h, one of which is included before this file. The others are plain loops, compiled with
// the flags of the file that includes this one; GCC 12 vectorizes AdamW's loop. Nothing is
// reordered or fused, so every instruction set gives the same bits, and an exact resume may change
// machines.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_TRAINING_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_TRAINING_INL_H_

#include <cstdint>

#include "worker/engine/kernels/isa/functions_inl.h"
#include "worker/engine/kernels/isa/kernel_table.h"

namespace wattle::kernels {
namespace {

inline void AdamW(const AdamWPass& pass) {
  float* __restrict weights = pass.weights;
  const float* __restrict gradients = pass.gradients;
  float* __restrict first = pass.first_moments;
  float* __restrict second = pass.second_moments;
  const AdamWScalars scalars = pass.scalars;
  for (int64_t i = 0; i < pass.count; ++i) {
    const float gradient = gradients[i] * scalars.gradient_scale;
    const float m = scalars.beta1 * first[i] + scalars.rest1 * gradient;
    const float v = scalars.beta2 * second[i] + scalars.rest2 * gradient * gradient;
    first[i] = m;
    second[i] = v;
    weights[i] = weights[i] * scalars.keep -
                 scalars.rate * m / (__builtin_sqrtf(v) * scalars.inverse_root + scalars.epsilon);
  }
}

inline double SquaresSum(const float* values, int64_t count) {
  // Independent sums: four vectors of AVX-512, so that an addition need not wait for the preceding
  // one.
  constexpr int64_t kPartialSums = 32;
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

constexpr int kChunk = 64;  // numbers computed together: one block of four per lane
constexpr uint32_t kLaneNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

inline I SetWord(uint32_t value) {
  return SetInt(static_cast<int32_t>(value));
}

// The 16 blocks from first_block on, as 64 numbers in element order.
inline void PhiloxBlocks(const PhiloxCounter& counter, uint32_t first_block, I (&words)[4]) {
  words[0] = AddInt(SetWord(first_block), LoadInts(kLaneNumbers));
  for (int word = 0; word < 3; ++word) {
    words[word + 1] = SetWord(counter.words[word]);
  }
  uint32_t k0 = counter.key[0];
  uint32_t k1 = counter.key[1];
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const WideProduct product0 = MultiplyWide(words[0], kPhiloxMultiplier0);
    const WideProduct product1 = MultiplyWide(words[2], kPhiloxMultiplier1);
    words[0] = XorInt(XorInt(product1.high, words[1]), SetWord(k0));
    words[1] = product1.low;
    words[2] = XorInt(XorInt(product0.high, words[3]), SetWord(k1));
    words[3] = product0.low;
    k0 += kPhiloxWeyl0;
    k1 += kPhiloxWeyl1;
  }
  Interleave(words);
}

inline void StoreChunk(const I (&words)[4], uint32_t* out) {
  for (int word = 0; word < 4; ++word) {
    StoreInts(out + 16 * word, words[word]);
  }
}

// Calls each(words, done) for every 64 consecutive elements that begin a block, and some(bits,
// done, count) for the rest before and after them. done: number of preceding elements.
template <typename Each, typename Some>
inline void OverPhilox(const PhiloxCounter& counter, int64_t first_element, int64_t count,
                       const Each& each, const Some& some) {
  I words[4];
  uint32_t chunk[kChunk];
  for (int64_t done = 0; done < count;) {
    const int64_t element = first_element + done;
    const int64_t skip = element % 4;
    PhiloxBlocks(counter, static_cast<uint32_t>(element / 4), words);
    const int64_t take = kChunk - skip < count - done ? kChunk - skip : count - done;
    if (take == kChunk) {
      each(words, done);
    } else {
      StoreChunk(words, chunk);
      some(chunk + skip, done, take);
    }
    done += take;
  }
}

inline void PhiloxBits(const PhiloxCounter& counter, int64_t first_element, int64_t count,
                       uint32_t* out) {
  OverPhilox(
      counter, first_element, count,
      [&](const I(&words)[4], int64_t done) { StoreChunk(words, out + done); },
      [&](const uint32_t* bits, int64_t done, int64_t some) {
        for (int64_t i = 0; i < some; ++i) {
          out[done + i] = bits[i];
        }
      });
}

inline void DropOut(const PhiloxCounter& counter, const DropoutPass& pass) {
  const F scale = Set(pass.scale);
  OverPhilox(
      counter, pass.first_element, pass.count,
      [&](const I(&words)[4], int64_t done) {
        for (int word = 0; word < 4; ++word) {
          float* values = pass.values + done + 16 * word;
          Store(values, Mul(Load(values), ZeroBelow(words[word], pass.threshold, scale)));
        }
      },
      [&](const uint32_t* bits, int64_t done, int64_t some) {
        float* values = pass.values + done;
        for (int64_t i = 0; i < some; ++i) {
          values[i] *= bits[i] < pass.threshold ? 0.0F : pass.scale;
        }
      });
}

inline SoftmaxSums Softmax(float scale, int64_t count, float* values) {
  SoftmaxSums sums;
  F most = Set(values[0]);
  F finite = Set(0.0F);  // stays zero
  for (int64_t i = 0; i < count; i += 16) {
    const F value = LoadSome(values + i, count - i, values[0]);
    most = Max(value, most);
    finite = Add(finite, Mul(value, Set(0.0F)));
  }
  sums.largest = ReduceMax(most);
  sums.sum = static_cast<double>(ReduceAdd(finite));
  // Lanes after the last value count as e^-87, which does not change a sum of at least 1.
  constexpr int64_t kBlock = 1024;  // single precision within a block, double across blocks
  const F largest = Set(sums.largest);
  const float behind = sums.largest - 87.0F;
  for (int64_t start = 0; start < count; start += kBlock) {
    const int64_t end = start + kBlock < count ? start + kBlock : count;
    F sum = Set(0.0F);
    for (int64_t i = start; i < end; i += 16) {
      const F power = Exponential(Sub(LoadSome(values + i, end - i, behind), largest));
      StoreSome(values + i, end - i, power);
      sum = Add(sum, power);
    }
    sums.sum += static_cast<double>(ReduceAdd(sum));
  }
  const F factor = Set(static_cast<float>(static_cast<double>(scale) / sums.sum));
  for (int64_t i = 0; i < count; i += 16) {
    StoreSome(values + i, count - i, Mul(LoadSome(values + i, count - i, 0.0F), factor));
  }
  return sums;
}

inline void SoftmaxBackward(const SoftmaxGradient& row) {
  F sum = Set(0.0F);
  for (int64_t i = 0; i < row.count; i += 16) {
    const int64_t left = row.count - i;
    const F probability = LoadSome(row.probabilities + i, left, 0.0F);
    F gradient = LoadSome(row.gradients + i, left, 0.0F);
    if (row.dropped != nullptr) {
      const F factor = LoadSome(row.dropped + i, left, 0.0F);
      gradient = Mul(gradient, factor);
      StoreSome(row.gradients + i, left, gradient);
      StoreSome(row.dropped + i, left, Mul(probability, factor));
    }
    sum = Add(sum, Mul(probability, gradient));
  }
  const F mean = Set(ReduceAdd(sum));
  for (int64_t i = 0; i < row.count; i += 16) {
    const int64_t left = row.count - i;
    const F gradient = LoadSome(row.gradients + i, left, 0.0F);
    StoreSome(row.gradients + i, left,
              Mul(LoadSome(row.probabilities + i, left, 0.0F), Sub(gradient, mean)));
  }
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_TRAINING_INL_H_
