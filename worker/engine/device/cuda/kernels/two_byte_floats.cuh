// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Matrices of two-byte floats, row by row. A type converts the bits: `Value`.
#pragma once

#include "row_product.cuh"

namespace wattle::cuda {

template <typename Type>
struct TwoByteFloats {
  static constexpr int kSecond = 4;
  static constexpr bool kWholePieces = false;
  static constexpr bool kTable = false;
  static __device__ long long RowBytes(const StoredMatrix& m) { return m.columns * 2LL; }
  static __device__ int First(int piece) { return piece * kPieceColumns; }
  static __device__ const unsigned char* Place(const StoredMatrix& m, int row, int column) {
    return m.packed + (static_cast<long long>(row) * m.columns + column) * 2;
  }
  static __device__ int Pieces(const StoredMatrix& m) {
    return m.columns % kPieceColumns == 0 ? m.columns / kPieceColumns : 0;
  }
  static __device__ void Load(const StoredMatrix& m, int row, int piece, const float* /*table*/,
                              float* weights) {
    const uint4 pairs = LoadWeights16(Place(m, row, First(piece)));
    const unsigned words[4] = {pairs.x, pairs.y, pairs.z, pairs.w};
    for (int c = 0; c < 4; ++c) {
      weights[2 * c] = Type::Value(words[c] & 0xFFFFU);
      weights[2 * c + 1] = Type::Value(words[c] >> 16);
    }
  }
  static __device__ float At(const StoredMatrix& m, int row, int column) {
    return Type::Value(LoadWeights2(Place(m, row, column)));
  }
};

}  // namespace wattle::cuda
