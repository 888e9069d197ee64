// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matrices of signed codes of eight bits in panels: 4 columns of a row in a word.
#pragma once

#include "panel_product.cuh"

namespace wattle::cuda {

// One FP16 scale per group (kWithGroups), or one FP32 scale per row. Adding 128 to a byte only
// flips its highest bit.
template <bool kWithGroups>
struct Int8Codes {
  static constexpr int kColumns = 4;
  static constexpr int kStep = 4;
  static constexpr int kWords = 1;
  static constexpr int kColumnMultiple = 64;
  static constexpr bool kGroups = kWithGroups;
  static constexpr bool kBlocks = false;
  static constexpr bool kMinimums = false;
  static __device__ void Decode(const unsigned (&words)[kWords], int /*first*/, float* weights) {
    const unsigned raised = words[0] ^ 0x80808080U;
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(raised, c, 128.0F);
    }
  }
};

}  // namespace wattle::cuda
