// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "gguf_blocks.cuh"

namespace wattle::cuda {
namespace {

// GGUF's Q8_0: blocks of 34 bytes, an FP16 scale and 32 signed codes.
struct Q8_0 : GgufBlocks<32> {
  static constexpr int kSecond = 4;
  static __device__ int First(int piece) { return piece * kPieceColumns; }
  static __device__ void Load(const StoredMatrix& m, int row, int piece, const float* /*table*/,
                              float* weights) {
    const unsigned char* block = BlockOf(m, row, piece);
    const unsigned char* codes = block + kGgufScaleBytes + piece % 4 * kPieceColumns;
    ScaledCodes<128>(LoadWeights4At2(codes) ^ 0x80808080U, LoadWeights4At2(codes + 4) ^ 0x80808080U,
                     ScaleOf(block), weights);
  }
};

}  // namespace

WATTLE_ROW_PRODUCTS(q8_0, Q8_0)

}  // namespace wattle::cuda
