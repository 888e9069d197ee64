// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Adafactor in six launches: means along rows, sums along columns, the factors of both, the squares
// of the update, its root mean square, and the update. Sums are FP32, each in a fixed order.
#include "block_sum.cuh"
#include "update.cuh"

namespace wattle::cuda {
namespace {

constexpr float kEpsilon = 1e-30F;  // kernels::kAdafactorEpsilon

__device__ inline float MeanWith(const AdafactorArguments& a, float mean, float square) {
  return (1.0F - a.rest) * mean + a.rest * (square + kEpsilon);
}

// Calls body(gradient, column) for this thread's columns of a row; the gradient is scaled.
template <typename Body>
__device__ inline void ForEachOfRow(const AdafactorArguments& a, float scale, int row, Body body) {
  const float* gradients = a.gradients + static_cast<long long>(row) * a.columns;
  for (int i = static_cast<int>(threadIdx.x); i < a.columns; i += kWideThreads) {
    body(gradients[i] * scale, i);
  }
}

// blockIdx.x: the row.
template <typename Weights>
__device__ inline void UpdateByAdafactor(const AdafactorArguments& a) {
  const float scale = ScaleOfGradients(a.gradient_scale, a.decided);
  if (scale < 0.0F) {
    return;
  }
  const int row = static_cast<int>(blockIdx.x);
  const long long first = static_cast<long long>(row) * a.columns;
  const float factor = a.row_factors[row];
  const float rate = *a.rate;
  ForEachOfRow(a, scale, row, [&](float gradient, int column) {
    const float weight = Weights::At(a.weights, first + column) * a.keep -
                         rate * (gradient * factor * a.column_factors[column]);
    Weights::Put(a.weights, first + column, weight, a.rounding);
  });
}

}  // namespace

extern "C" {

// blockIdx.x: the row.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    adafactor_rows(AdafactorArguments a) {
  const float scale = ScaleOfGradients(a.gradient_scale, a.decided);
  if (scale < 0.0F) {
    return;
  }
  const int row = static_cast<int>(blockIdx.x);
  float sum = 0.0F;
  ForEachOfRow(a, scale, row, [&](float gradient, int /*column*/) { sum += gradient * gradient; });
  sum = SumOfBlock(sum);
  if (threadIdx.x == 0) {
    a.row_means[row] = MeanWith(a, a.row_means[row], sum / static_cast<float>(a.columns));
  }
}

// One thread per column of a chunk; blocks of one chunk are consecutive.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    adafactor_columns(AdafactorArguments a) {
  const float scale = ScaleOfGradients(a.gradient_scale, a.decided);
  if (scale < 0.0F) {
    return;
  }
  const int blocks = (a.columns + kBlockThreads - 1) / kBlockThreads;
  const int chunk = static_cast<int>(blockIdx.x) / blocks;
  const int column =
      static_cast<int>(blockIdx.x) % blocks * kBlockThreads + static_cast<int>(threadIdx.x);
  if (column >= a.columns) {
    return;
  }
  const int first = chunk * kRowsOfChunk;
  const int end = first + kRowsOfChunk < a.rows ? first + kRowsOfChunk : a.rows;
  float sum = 0.0F;
  for (int row = first; row < end; ++row) {
    const float gradient = a.gradients[static_cast<long long>(row) * a.columns + column] * scale;
    sum += gradient * gradient;
  }
  a.sums[static_cast<long long>(chunk) * a.columns + column] = sum;
}

// The last block computes the factors of the rows, the others those of the columns.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    adafactor_factors(AdafactorArguments a) {
  if (ScaleOfGradients(a.gradient_scale, a.decided) < 0.0F) {
    return;
  }
  if (static_cast<int>(blockIdx.x) + 1 < static_cast<int>(gridDim.x)) {
    const int column = static_cast<int>(blockIdx.x) * kWideThreads + static_cast<int>(threadIdx.x);
    if (column < a.columns) {
      float sum = 0.0F;
      for (int chunk = 0; chunk < a.chunks; ++chunk) {
        sum += a.sums[static_cast<long long>(chunk) * a.columns + column];
      }
      const float mean = MeanWith(a, a.column_means[column], sum / static_cast<float>(a.rows));
      a.column_means[column] = mean;
      a.column_factors[column] = 1.0F / sqrtf(mean);
    }
    return;
  }
  float mean = 1.0F;
  if (a.row_means != nullptr) {
    float sum = 0.0F;
    for (int row = static_cast<int>(threadIdx.x); row < a.rows; row += kWideThreads) {
      sum += a.row_means[row];
    }
    mean = SumOfBlock(sum) / static_cast<float>(a.rows);
  }
  for (int row = static_cast<int>(threadIdx.x); row < a.rows; row += kWideThreads) {
    a.row_factors[row] = a.row_means != nullptr ? 1.0F / sqrtf(a.row_means[row] / mean) : 1.0F;
  }
}

// blockIdx.x: the row.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    adafactor_squares(AdafactorArguments a) {
  const float scale = ScaleOfGradients(a.gradient_scale, a.decided);
  if (scale < 0.0F) {
    return;
  }
  const int row = static_cast<int>(blockIdx.x);
  const float factor = a.row_factors[row];
  float sum = 0.0F;
  ForEachOfRow(a, scale, row, [&](float gradient, int column) {
    const float update = gradient * factor * a.column_factors[column];
    sum += update * update;
  });
  sum = SumOfBlock(sum);
  if (threadIdx.x == 0) {
    a.row_squares[row] = sum;
  }
}

// One block.
__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    adafactor_rate(AdafactorArguments a) {
  if (ScaleOfGradients(a.gradient_scale, a.decided) < 0.0F) {
    return;
  }
  float sum = 0.0F;
  for (int row = static_cast<int>(threadIdx.x); row < a.rows; row += kWideThreads) {
    sum += a.row_squares[row] / static_cast<float>(a.columns);
  }
  sum = SumOfBlock(sum);
  if (threadIdx.x == 0) {
    *a.rate = a.learning_rate / fmaxf(1.0F, sqrtf(sum / static_cast<float>(a.rows)));
  }
}

__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    adafactor_update(AdafactorArguments a) {
  UpdateByAdafactor<FloatWeights>(a);
}

__global__ void __launch_bounds__(kWideThreads, kWideBlocksAtOnce)
    adafactor_update_bf16(AdafactorArguments a) {
  UpdateByAdafactor<Bf16Weights>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
