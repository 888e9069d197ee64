// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "panel_product.cuh"

namespace wattle::cuda {
namespace {

// GGUF's Q6_K: the lower four bits of sixteen columns in two words as in Int4, the upper two bits
// of columns j, 4 + j, 8 + j and 12 + j in byte j of the third word.
struct Int6 {
  static constexpr int kColumns = 16;
  static constexpr int kStep = 4;
  static constexpr int kWords = 3;
  static constexpr int kColumnMultiple = kBlockColumns;
  static constexpr bool kGroups = true;
  static constexpr bool kBlocks = true;
  static constexpr bool kMinimums = false;

  static __device__ void Decode(const unsigned (&words)[kWords], int first, float* weights) {
    const int quad = first / 4;
    const unsigned lower = words[quad / 2] >> quad % 2 * 4 & 0x0F0F0F0FU;
    const unsigned upper =
        (quad < 2 ? words[2] << (4 - 2 * quad) : words[2] >> (2 * quad - 4)) & 0x30303030U;
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(lower | upper, c, 32.0F);
    }
  }
};

}  // namespace

WATTLE_PANEL_PRODUCTS(int6, Int6)

}  // namespace wattle::cuda
