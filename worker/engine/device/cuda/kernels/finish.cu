// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The steps after a product of many rows: bias, nonlinearity, gate, and the store of the sums.
#include "epilogue.cuh"

namespace wattle::cuda {
namespace {

__device__ inline float SumAt(const FinishArguments& a, int i, int row) {
  const long long place = static_cast<long long>(i) * a.product.matrix.rows + row;
  const float sum = a.bf16 != 0 ? FloatFromBf16(static_cast<const unsigned short*>(a.sums)[place])
                                : static_cast<const float*>(a.sums)[place];
  return sum + BiasOf(a.product, row);
}

}  // namespace

extern "C" {

// One thread per number of `out`, row by row.
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    finish_rows(FinishArguments a) {
  const int half = a.product.gated != 0 ? a.product.matrix.rows / 2 : 0;
  const int outputs = a.product.matrix.rows - half;
  const long long number =
      static_cast<long long>(blockIdx.x) * kBlockThreads + static_cast<int>(threadIdx.x);
  if (number >= static_cast<long long>(a.product.count) * outputs) {
    return;
  }
  const int i = static_cast<int>(number / outputs);
  const int row = static_cast<int>(number % outputs) + half;
  const float gate = half != 0 ? SumAt(a, i, row - half) : 0.0F;
  StoreSum(a.product, i, row, gate, SumAt(a, i, row));
}

}  // extern "C"

}  // namespace wattle::cuda
