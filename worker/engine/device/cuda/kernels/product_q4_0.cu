// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "gguf_blocks.cuh"

namespace wattle::cuda {
namespace {

// GGUF's Q4_0: blocks of 18 bytes, an FP16 scale and 16 bytes, each with a column of the first half
// of the block in its low half and one of the second in its high half; code - 8.
struct Q4_0 : GgufBlocks<16> {
  static constexpr int kSecond = 16;
  static __device__ int First(int piece) { return piece / 4 * 32 + piece % 4 * 4; }
  static __device__ void Load(const StoredMatrix& m, int row, int piece, const float* /*table*/,
                              float* weights) {
    const unsigned char* block = BlockOf(m, row, piece);
    const unsigned word = LoadWeights4At2(block + kGgufScaleBytes + piece % 4 * 4);
    ScaledCodes<8>(word & 0x0F0F0F0FU, word >> 4 & 0x0F0F0F0FU, ScaleOf(block), weights);
  }
};

}  // namespace

WATTLE_ROW_PRODUCTS(q4_0, Q4_0)

}  // namespace wattle::cuda
