// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "panel_product.cuh"

namespace wattle::cuda {
namespace {

// Int8, one FP32 scale for each row: 4 columns of a row in a word, signed. Adding 128 to a byte is
// the change of its highest bit.
struct Int8 {
  static constexpr int kColumns = 4;
  static constexpr int kColumnMultiple = 64;
  static constexpr bool kGroups = false;
  static __device__ void Decode(unsigned word, float* weights) {
    const unsigned raised = word ^ 0x80808080U;
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(raised, c, 128.0F);
    }
  }
};

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int8_rows1(ProductArguments a) {
  PanelProduct<Int8, 1>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int8_rows2(ProductArguments a) {
  PanelProduct<Int8, 2>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int8_rows4(ProductArguments a) {
  PanelProduct<Int8, 4>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_int8_rows8(ProductArguments a) {
  PanelProduct<Int8, 8>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    embed_int8(EmbedArguments a) {
  EmbedPanelRow<Int8>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
