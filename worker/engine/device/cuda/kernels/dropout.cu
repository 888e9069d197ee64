// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "philox.cuh"

namespace wattle::cuda {

extern "C" {

// Each thread: the elements of one counter; the first and the last of them may be out of range.
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce) drop_out(DropoutArguments a) {
  const long long block = a.first / kElementsOfCounter +
                          static_cast<long long>(blockIdx.x) * kBlockThreads +
                          static_cast<long long>(threadIdx.x);
  const FourFactors factors = FactorsOf(static_cast<unsigned>(block), a.mask);
  WATTLE_UNROLL
  for (int j = 0; j < kElementsOfCounter; ++j) {
    const long long i = block * kElementsOfCounter + j - a.first;
    if (i >= 0 && i < a.count) {
      a.out[i] = a.in != nullptr ? a.in[i] * factors.of[j] : factors.of[j];
    }
  }
}

}  // extern "C"

}  // namespace wattle::cuda
