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

WATTLE_PANEL_PRODUCTS(int8, Int8)

}  // namespace wattle::cuda
