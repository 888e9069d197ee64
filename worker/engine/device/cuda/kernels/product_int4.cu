// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "panel_product.cuh"

namespace wattle::cuda {
namespace {

// Int4, code - 8, one FP16 scale for each group: columns 0 to 3 in the low halves of a word's
// bytes, 4 to 7 in the high ones.
struct Int4 {
  static constexpr int kColumns = 8;
  static constexpr int kColumnMultiple = 8;
  static constexpr bool kGroups = true;
  static constexpr bool kMinimums = false;
  static __device__ void Decode(unsigned word, float* weights) {
    const unsigned low = word & 0x0F0F0F0FU;
    const unsigned high = word >> 4 & 0x0F0F0F0FU;
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(low, c, 8.0F);
      weights[c + 4] = ByteAsFloat(high, c, 8.0F);
    }
  }
};

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int4_rows1(ProductArguments a) {
  PanelProduct<Int4, 1>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int4_rows2(ProductArguments a) {
  PanelProduct<Int4, 2>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int4_rows4(ProductArguments a) {
  PanelProduct<Int4, 4>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int4_rows8(ProductArguments a) {
  PanelProduct<Int4, 8>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    embed_int4(EmbedArguments a) {
  EmbedPanelRow<Int4>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
