// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "panel_product.cuh"

namespace wattle::cuda {
namespace {

// NF4, one FP16 scale per group. kernels/nf4_levels.h has the levels; a byte permutation selects
// four of eight at once. The codes have the layout of Int4.
struct Nf4 {
  static constexpr int kColumns = 8;
  static constexpr int kStep = 8;
  static constexpr int kWords = 1;
  static constexpr int kColumnMultiple = 8;
  static constexpr bool kGroups = true;
  static constexpr bool kBlocks = false;
  static constexpr bool kMinimums = false;

  // The levels of the four codes in the low halves of 16 bits, plus 128.
  static __device__ unsigned Levels(unsigned codes) {
    const unsigned low = __byte_perm(0x4E3D2801U, 0x8074695CU, codes & 0x7777U);
    const unsigned high = __byte_perm(0xAB9F948AU, 0xFFDCC7B8U, codes & 0x7777U);
    return __byte_perm(low, high, 0x3210U | (codes & 0x8888U) >> 1);
  }
  static __device__ void Decode(const unsigned (&words)[kWords], int /*first*/, float* weights) {
    // Codes of the columns 0 4 1 5, then 2 6 3 7.
    const unsigned first = Levels(words[0] & 0xFFFFU);
    const unsigned second = Levels(words[0] >> 16);
    for (int c = 0; c < 2; ++c) {
      weights[c] = ByteAsFloat(first, 2 * c, 128.0F);
      weights[c + 4] = ByteAsFloat(first, 2 * c + 1, 128.0F);
      weights[c + 2] = ByteAsFloat(second, 2 * c, 128.0F);
      weights[c + 6] = ByteAsFloat(second, 2 * c + 1, 128.0F);
    }
  }
};

}  // namespace

WATTLE_PANEL_PRODUCTS(nf4, Nf4)

}  // namespace wattle::cuda
