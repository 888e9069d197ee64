// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matrices of codes of four bits in panels: columns 0 to 3 in the low halves of a word's bytes, 4
// to 7 in the high ones.
#pragma once

#include "panel_product.cuh"

namespace wattle::cuda {

// code - kZero, times an FP16 scale per group (+ an FP16 minimum, if kWithMinimums).
template <int kZero, bool kWithMinimums>
struct Int4Codes {
  static constexpr int kColumns = 8;
  static constexpr int kStep = 8;
  static constexpr int kWords = 1;
  static constexpr int kColumnMultiple = 8;
  static constexpr bool kGroups = true;
  static constexpr bool kBlocks = false;
  static constexpr bool kMinimums = kWithMinimums;
  static __device__ void Decode(const unsigned (&words)[kWords], int /*first*/, float* weights) {
    const unsigned low = words[0] & 0x0F0F0F0FU;
    const unsigned high = words[0] >> 4 & 0x0F0F0F0FU;
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(low, c, static_cast<float>(kZero));
      weights[c + 4] = ByteAsFloat(high, c, static_cast<float>(kZero));
    }
  }
};

}  // namespace wattle::cuda
