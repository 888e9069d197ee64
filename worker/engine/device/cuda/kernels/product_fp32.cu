// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "row_product.cuh"

namespace wattle::cuda {
namespace {

// FP32.
struct Fp32 {
  static constexpr int kSecond = 4;
  static constexpr bool kWholePieces = false;
  static constexpr bool kTable = false;
  static __device__ long long RowBytes(const StoredMatrix& m) { return m.columns * 4LL; }
  static __device__ int First(int piece) { return piece * kPieceColumns; }
  static __device__ const unsigned char* Place(const StoredMatrix& m, int row, int column) {
    return m.packed + (static_cast<long long>(row) * m.columns + column) * 4;
  }
  static __device__ int Pieces(const StoredMatrix& m) {
    return m.columns % 4 == 0 ? m.columns / kPieceColumns : 0;
  }
  static __device__ void Load(const StoredMatrix& m, int row, int piece, const float* /*table*/,
                              float* weights) {
    const unsigned char* place = Place(m, row, First(piece));
    const uint4 low = LoadWeights16(place);
    const uint4 high = LoadWeights16(place + 16);
    const unsigned words[kPieceColumns] = {low.x,  low.y,  low.z,  low.w,
                                           high.x, high.y, high.z, high.w};
    for (int c = 0; c < kPieceColumns; ++c) {
      weights[c] = __uint_as_float(words[c]);
    }
  }
  static __device__ float At(const StoredMatrix& m, int row, int column) {
    return __uint_as_float(LoadWeights4(Place(m, row, column)));
  }
};

}  // namespace

WATTLE_ROW_PRODUCTS(fp32, Fp32)

}  // namespace wattle::cuda
