// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "panel_product.cuh"

namespace wattle::cuda {
namespace {

// Int4 with a minimum: scale code + minimum, both FP16, for each group. The codes lie as Int4's do.
struct Int4a {
  static constexpr int kColumns = 8;
  static constexpr int kColumnMultiple = 8;
  static constexpr bool kGroups = true;
  static constexpr bool kMinimums = true;
  static __device__ void Decode(unsigned word, float* weights) {
    const unsigned low = word & 0x0F0F0F0FU;
    const unsigned high = word >> 4 & 0x0F0F0F0FU;
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(low, c, 0.0F);
      weights[c + 4] = ByteAsFloat(high, c, 0.0F);
    }
  }
};

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int4a_rows1(ProductArguments a) {
  PanelProduct<Int4a, 1>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int4a_rows2(ProductArguments a) {
  PanelProduct<Int4a, 2>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int4a_rows4(ProductArguments a) {
  PanelProduct<Int4a, 4>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int4a_rows8(ProductArguments a) {
  PanelProduct<Int4a, 8>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    embed_int4a(EmbedArguments a) {
  EmbedPanelRow<Int4a>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
