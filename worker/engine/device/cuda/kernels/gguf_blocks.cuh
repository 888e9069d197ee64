// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// GGUF's blocks, row by row: 32 columns each, an FP16 scale before their codes.
#pragma once

#include "row_product.cuh"

namespace wattle::cuda {

constexpr int kGgufScaleBytes = 2;

template <int kCodeBytes>
struct GgufBlocks {
  static constexpr bool kWholePieces = true;
  static constexpr bool kTable = false;
  static __device__ int Pieces(const StoredMatrix& m) { return m.columns / kPieceColumns; }
  // The block that holds the piece.
  static __device__ const unsigned char* BlockOf(const StoredMatrix& m, int row, int piece) {
    return m.packed + (static_cast<long long>(row) * (m.columns / 32) + piece / 4) *
                          (kGgufScaleBytes + kCodeBytes);
  }
  static __device__ float ScaleOf(const unsigned char* block) {
    return FloatFromHalf(LoadScales2(block));
  }
};

// The weights of two words whose bytes are codes, raised by kZero.
template <int kZero>
__device__ inline void ScaledCodes(unsigned low, unsigned high, float scale, float* weights) {
  for (int c = 0; c < 4; ++c) {
    weights[c] = ByteAsFloat(low, c, static_cast<float>(kZero)) * scale;
    weights[c + 4] = ByteAsFloat(high, c, static_cast<float>(kZero)) * scale;
  }
}

}  // namespace wattle::cuda
