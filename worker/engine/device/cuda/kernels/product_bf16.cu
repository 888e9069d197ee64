// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "row_product.cuh"

namespace wattle::cuda {
namespace {

// BF16, the upper half of a float.
struct Bf16 {
  static constexpr int kSecond = 4;
  static constexpr bool kWholePieces = false;
  static constexpr bool kTable = false;
  static __device__ int First(int piece) { return piece * kPieceColumns; }
  static __device__ const unsigned char* Place(const StoredMatrix& m, int row, int column) {
    return m.packed + (static_cast<long long>(row) * m.columns + column) * 2;
  }
  static __device__ int Pieces(const StoredMatrix& m) {
    return m.columns % kPieceColumns == 0 ? m.columns / kPieceColumns : 0;
  }
  static __device__ float Value(unsigned bits) { return __uint_as_float(bits << 16); }
  static __device__ void Load(const StoredMatrix& m, int row, int piece, const float* /*table*/,
                              float* weights) {
    const uint4 pairs = LoadWeights16(Place(m, row, First(piece)));
    const unsigned words[4] = {pairs.x, pairs.y, pairs.z, pairs.w};
    for (int c = 0; c < 4; ++c) {
      weights[2 * c] = Value(words[c] & 0xFFFFU);
      weights[2 * c + 1] = Value(words[c] >> 16);
    }
  }
  static __device__ float At(const StoredMatrix& m, int row, int column) {
    return Value(LoadWeights2(Place(m, row, column)));
  }
};

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_bf16_rows1(ProductArguments a) {
  RowProduct<Bf16, 1>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_bf16_rows2(ProductArguments a) {
  RowProduct<Bf16, 2>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_bf16_rows4(ProductArguments a) {
  RowProduct<Bf16, 4>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_bf16_rows8(ProductArguments a) {
  RowProduct<Bf16, 8>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    embed_bf16(EmbedArguments a) {
  EmbedRow<Bf16>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
