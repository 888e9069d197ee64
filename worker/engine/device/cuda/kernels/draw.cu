// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Draws tokens after temperature, top-k and top-p without sorting. Tokens are ordered by falling
// logit, ties by rising index, and a place in this order is found by a radix search over the digits
// of the logit. Sums are integers, so the order of additions does not matter.
#include "gpu.cuh"

namespace wattle::cuda {
namespace {

constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kKeyBits = 32;

// A monotonic integer key of a logit; both zeros have the same key.
__device__ inline unsigned KeyOf(float logit) {
  const unsigned bits = __float_as_uint(logit == 0.0F ? 0.0F : logit);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

// One row of logits.
struct Row {
  const float* logits;
  const Amount* amounts;
  int vocabulary;
};

// A token, and the sum over all tokens up to and including it.
struct Place {
  int token;
  unsigned key;
  Amount through;
};

// Sum, in all threads of the block.
__device__ inline Amount SumOfAmounts(Amount value) {
  WATTLE_SHARED(Amount, total, [1]);
  __syncthreads();  // the previous sum has been read
  if (threadIdx.x == 0) {
    total[0] = 0;
  }
  __syncthreads();
  atomicAdd(&total[0], value);
  __syncthreads();
  return total[0];
}

// The first token at which the sum reaches `wanted`, which is from 1 to the total. counts: each
// token counts 1 instead of its amount.
__device__ inline Place FirstReaching(const Row& row, bool counts, Amount wanted) {
  WATTLE_SHARED(Amount, sums, [kDigits]);
  WATTLE_SHARED(int, ties, [kBlockThreads]);
  WATTLE_SHARED(int, found, [1]);
  const int thread = static_cast<int>(threadIdx.x);
  unsigned key = 0;  // the digits found so far
  Amount above = 0;  // the sum of all tokens with larger digits
  Amount same = 0;   // the sum of those with the same digits
  for (int shift = kKeyBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    __syncthreads();  // the sums of the previous digit have been read
    for (int digit = thread; digit < kDigits; digit += kBlockThreads) {
      sums[digit] = 0;
    }
    __syncthreads();
    for (int i = thread; i < row.vocabulary; i += kBlockThreads) {
      const unsigned own = KeyOf(row.logits[i]);
      if (static_cast<unsigned long long>(own) >> (shift + kDigitBits) == key) {
        atomicAdd(&sums[own >> shift & (kDigits - 1)], counts ? 1 : row.amounts[i]);
      }
    }
    __syncthreads();
    int digit = kDigits - 1;
    while (digit > 0 && above + sums[digit] < wanted) {
      above += sums[digit];
      --digit;
    }
    key = key << kDigitBits | static_cast<unsigned>(digit);
    same = sums[digit];
  }

  // Tokens with this logit, by index; each thread searches a stretch of the vocabulary.
  const int stretch = (row.vocabulary + kBlockThreads - 1) / kBlockThreads;
  const int begin = thread * stretch;
  const int end = begin + stretch < row.vocabulary ? begin + stretch : row.vocabulary;
  int own = 0;
  for (int i = begin; i < end; ++i) {
    own += KeyOf(row.logits[i]) == key ? 1 : 0;
  }
  ties[thread] = own;
  if (thread == 0) {
    found[0] = 0;
  }
  __syncthreads();
  int before = 0;
  int all = 0;
  for (int t = 0; t < kBlockThreads; ++t) {
    before += t < thread ? ties[t] : 0;
    all += ties[t];
  }
  // If no sum reaches it (the logits are NaN), the token is the first one.
  const Amount each = all > 0 && same > 0 ? same / static_cast<Amount>(all) : 1;
  const int wanted_tie = static_cast<int>((wanted - above + each - 1) / each);  // at least 1
  for (int i = begin; i < end; ++i) {
    before += KeyOf(row.logits[i]) == key ? 1 : 0;
    if (before == wanted_tie && KeyOf(row.logits[i]) == key) {
      found[0] = i;
    }
  }
  __syncthreads();
  return {found[0], key, above + static_cast<Amount>(wanted_tie) * each};
}

// The sum of the amounts up to and including a place.
__device__ inline Amount AmountThrough(const Row& row, const Place& place) {
  Amount own = 0;
  for (int i = static_cast<int>(threadIdx.x); i < row.vocabulary; i += kBlockThreads) {
    const unsigned key = KeyOf(row.logits[i]);
    own += key > place.key || (key == place.key && i <= place.token) ? row.amounts[i] : 0;
  }
  return SumOfAmounts(own);
}

}  // namespace

extern "C" {

// blockIdx.x: (row, part of the vocabulary).
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) weigh(DrawArguments a) {
  LetNextKernelBegin();
  AwaitKernelBefore();
  const int parts = (a.vocabulary + kWeighedTokens - 1) / kWeighedTokens;
  const long long first = static_cast<long long>(blockIdx.x) / parts * a.vocabulary;
  const int begin = static_cast<int>(blockIdx.x) % parts * kWeighedTokens;
  const int end = begin + kWeighedTokens < a.vocabulary ? begin + kWeighedTokens : a.vocabulary;
  const double largest = a.logits[first + a.chosen[static_cast<int>(blockIdx.x) / parts]];
  for (int i = begin + static_cast<int>(threadIdx.x); i < end; i += kBlockThreads) {
    const double share = exp((static_cast<double>(a.logits[first + i]) - largest) / a.temperature);
    a.amounts[first + i] =
        share >= 0.0 ? static_cast<Amount>(share * kAmountOfLargest + 0.5) : 0;  // no NaN
  }
}

// blockIdx.x: the row.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) draw(DrawArguments a) {
  LetNextKernelBegin();
  AwaitKernelBefore();
  const long long first = static_cast<long long>(blockIdx.x) * a.vocabulary;
  const Row row = {a.logits + first, a.amounts + first, a.vocabulary};
  const bool cut = a.top_k > 0 && a.top_k < a.vocabulary;
  Place last = {a.vocabulary, 0, 0};
  if (cut) {
    last = FirstReaching(row, true, static_cast<Amount>(a.top_k));
  }
  Amount total = AmountThrough(row, last);
  if (a.top_p > 0.0 && a.top_p < 1.0) {
    const Amount share = static_cast<Amount>(ceil(a.top_p * static_cast<double>(total)));
    total = FirstReaching(row, false, share > 0 ? share : 1).through;
  }
  const Amount passed =
      static_cast<Amount>(static_cast<double>(a.units[blockIdx.x]) * static_cast<double>(total));
  const Place drawn = FirstReaching(row, false, passed < total ? passed + 1 : total);
  if (threadIdx.x == 0) {
    a.chosen[blockIdx.x] = drawn.token;
  }
}

}  // extern "C"

}  // namespace wattle::cuda
