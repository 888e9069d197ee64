// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Softmax of attention's scores with its mask and its dropout, forward and backward. One warp per
// row; only the first of its passes over the row misses the L1 cache. A lane processes the elements
// of one dropout counter at a time; the first and the last of them may belong to another row.
#include "block_sum.cuh"
#include "epilogue.cuh"
#include "philox.cuh"

namespace wattle::cuda {
namespace {

constexpr int kFour = kElementsOfCounter;

// The row of this warp.
struct ScoreRow {
  long long first = 0;  // its first element in memory
  long long group = 0;  // the counter of its first element
  int skipped = 0;      // elements of that counter before the row
  int groups = 0;       // counters of the keys below the query's end
  int all_groups = 0;
  bool whole = false;  // every counter belongs only to this row, and its four elements are aligned
  int seen = 0;
  int end = 0;
  int hidden[4] = {0, 0, 0, 0};

  __device__ int Column(int group_of_row, int j) const {
    return group_of_row * kFour + j - skipped;
  }
  // Whether the query sees the key.
  __device__ bool Sees(int key) const {
    return key >= 0 && key < end && (key < hidden[0] || key >= hidden[1]) &&
           (key < hidden[2] || key >= hidden[3]);
  }
  // Four elements of the row; arbitrary values for keys that the query does not see.
  __device__ void Load(const float* rows, int group_of_row, float (&out)[kFour]) const {
    if (whole) {
      const float4 four = *reinterpret_cast<const float4*>(rows + first + group_of_row * kFour);
      out[0] = four.x;
      out[1] = four.y;
      out[2] = four.z;
      out[3] = four.w;
      return;
    }
    WATTLE_UNROLL
    for (int j = 0; j < kFour; ++j) {
      const int column = Column(group_of_row, j);
      out[j] = Sees(column) ? rows[first + column] : 0.0F;
    }
  }
  __device__ void Store(void* rows, int stored, int group_of_row,
                        const float (&values)[kFour]) const;
};

__device__ inline unsigned short TwoBytesOf(int stored, float value) {
  if (stored == kStoredFp16) {
    return Fp16FromFloat(value);
  }
  return value == value ? Bf16FromFloat(value) : 0x7FC0;  // a NaN stays a NaN
}

__device__ inline void ScoreRow::Store(void* rows, int stored, int group_of_row,
                                       const float (&values)[kFour]) const {
  if (whole && stored == kStoredFloat) {
    *reinterpret_cast<float4*>(static_cast<float*>(rows) + first + group_of_row * kFour) = {
        values[0], values[1], values[2], values[3]};
    return;
  }
  if (whole) {
    unsigned halves[kFour];
    WATTLE_UNROLL
    for (int j = 0; j < kFour; ++j) {
      halves[j] = TwoBytesOf(stored, values[j]);
    }
    *reinterpret_cast<uint2*>(static_cast<unsigned short*>(rows) + first + group_of_row * kFour) = {
        halves[0] | halves[1] << 16, halves[2] | halves[3] << 16};
    return;
  }
  WATTLE_UNROLL
  for (int j = 0; j < kFour; ++j) {
    const int column = Column(group_of_row, j);
    if (column < 0 || column >= seen) {
      continue;
    }
    if (stored == kStoredFloat) {
      static_cast<float*>(rows)[first + column] = values[j];
    } else {
      static_cast<unsigned short*>(rows)[first + column] = TwoBytesOf(stored, values[j]);
    }
  }
}

// first_element: dropout element at which the first row begins. Returns false if this warp has no
// row.
__device__ inline bool RowOfWarp(const SeenRows& shape, long long first_element, ScoreRow& row) {
  const long long number = static_cast<long long>(blockIdx.x) * kWarpsOfBlock +
                           static_cast<long long>(threadIdx.x) / kWarpThreads;
  if (number >= shape.rows) {
    return false;
  }
  const int query = static_cast<int>(number % shape.queries);
  row.seen = shape.seen;
  row.end = shape.first_end + query;
  if (shape.borders != nullptr) {
    row.end = static_cast<int>(shape.borders[query]);
    WATTLE_UNROLL
    for (int i = 0; i < 4; ++i) {
      row.hidden[i] = static_cast<int>(shape.borders[(i + 1) * shape.queries + query]);
    }
  }
  row.first = number * shape.seen;
  const long long element = first_element + row.first;
  row.group = element / kFour;
  row.skipped = static_cast<int>(element % kFour);
  row.groups = (row.skipped + row.end + kFour - 1) / kFour;
  row.all_groups = (row.skipped + shape.seen + kFour - 1) / kFour;
  row.whole = shape.seen % kFour == 0 && first_element % kFour == 0;
  return true;
}

// Inputs for the probabilities of a row.
struct RowPower {
  float largest;  // maximum over the scores that the query sees
  float inverse;  // of the sum of the exponentials
  __device__ float Of(float score) const { return expf(score - largest) * inverse; }
};

__device__ inline RowPower PowerOf(const ScoreRow& row, const float* rows, int lane) {
  float largest = -3.402823466e38F;
  float scores[kFour];
  WATTLE_UNROLL_BY(1)
  for (int g = lane; g < row.groups; g += kWarpThreads) {
    row.Load(rows, g, scores);
    WATTLE_UNROLL
    for (int j = 0; j < kFour; ++j) {
      largest = row.Sees(row.Column(g, j)) ? fmaxf(largest, scores[j]) : largest;
    }
  }
  largest = MaxOfWarp(largest);
  float sum = 0.0F;
  WATTLE_UNROLL_BY(1)
  for (int g = lane; g < row.groups; g += kWarpThreads) {
    row.Load(rows, g, scores);
    WATTLE_UNROLL
    for (int j = 0; j < kFour; ++j) {
      sum += row.Sees(row.Column(g, j)) ? expf(scores[j] - largest) : 0.0F;
    }
  }
  return {largest, 1.0F / SumOfWarp(sum)};
}

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    masked_softmax(MaskedSoftmaxArguments a) {
  ScoreRow row;
  if (!RowOfWarp(a.shape, a.first, row)) {
    return;
  }
  const int lane = static_cast<int>(threadIdx.x) % kWarpThreads;
  const RowPower power = PowerOf(row, a.scores, lane);
  float scores[kFour];
  WATTLE_UNROLL_BY(1)
  for (int g = lane; g < row.all_groups; g += kWarpThreads) {
    float dropped[kFour] = {};
    if (g < row.groups) {
      row.Load(a.scores, g, scores);
      const FourFactors factors = FactorsOf(static_cast<unsigned>(row.group + g), a.mask);
      WATTLE_UNROLL
      for (int j = 0; j < kFour; ++j) {
        dropped[j] = row.Sees(row.Column(g, j)) ? power.Of(scores[j]) * factors.of[j] : 0.0F;
      }
    }
    row.Store(a.dropped, a.stored, g, dropped);
  }
}

// ∂score = p (f g - Σ p f g), with p the probability, f the factor of dropout, g the gradient.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    masked_softmax_backward(MaskedSoftmaxBackwardArguments a) {
  ScoreRow row;
  if (!RowOfWarp(a.shape, a.first, row)) {
    return;
  }
  const int lane = static_cast<int>(threadIdx.x) % kWarpThreads;
  const RowPower power = PowerOf(row, a.scores, lane);
  float scores[kFour];
  float gradients[kFour];
  float sum = 0.0F;
  WATTLE_UNROLL_BY(1)
  for (int g = lane; g < row.groups; g += kWarpThreads) {
    row.Load(a.scores, g, scores);
    row.Load(a.gradients, g, gradients);
    const FourFactors factors = FactorsOf(static_cast<unsigned>(row.group + g), a.mask);
    WATTLE_UNROLL
    for (int j = 0; j < kFour; ++j) {
      sum += row.Sees(row.Column(g, j)) ? power.Of(scores[j]) * factors.of[j] * gradients[j] : 0.0F;
    }
  }
  sum = SumOfWarp(sum);
  WATTLE_UNROLL_BY(1)
  for (int g = lane; g < row.all_groups; g += kWarpThreads) {
    float of_scores[kFour] = {};
    float dropped[kFour] = {};
    if (g < row.groups) {
      row.Load(a.scores, g, scores);
      row.Load(a.gradients, g, gradients);
      const FourFactors factors = FactorsOf(static_cast<unsigned>(row.group + g), a.mask);
      WATTLE_UNROLL
      for (int j = 0; j < kFour; ++j) {
        if (row.Sees(row.Column(g, j))) {
          const float probability = power.Of(scores[j]);
          of_scores[j] = probability * (factors.of[j] * gradients[j] - sum);
          dropped[j] = probability * factors.of[j];
        }
      }
    }
    row.Store(a.of_scores, a.stored, g, of_scores);
    row.Store(a.dropped, a.stored, g, dropped);
  }
}

}  // extern "C"

}  // namespace wattle::cuda
