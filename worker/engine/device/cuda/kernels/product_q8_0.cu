// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "row_product.cuh"

namespace wattle::cuda {
namespace {

// GGUF's Q8_0: blocks of 34 bytes, an FP16 scale and 32 signed codes.
struct Q8_0 {
  static constexpr int kSecond = 4;
  static constexpr bool kWholePieces = true;
  static constexpr bool kTable = false;
  static __device__ int First(int piece) { return piece * kPieceColumns; }
  static __device__ int Pieces(const StoredMatrix& m) { return m.columns / kPieceColumns; }
  static __device__ void Load(const StoredMatrix& m, int row, int piece, const float* /*table*/,
                              float* weights) {
    const unsigned char* block =
        m.packed + (static_cast<long long>(row) * (m.columns / 32) + piece / 4) * 34;
    const float scale = FloatFromHalf(LoadScales2(block));
    const unsigned char* codes = block + 2 + piece % 4 * kPieceColumns;
    const unsigned low = LoadWeights4At2(codes) ^ 0x80808080U;
    const unsigned high = LoadWeights4At2(codes + 4) ^ 0x80808080U;
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(low, c, 128.0F) * scale;
      weights[c + 4] = ByteAsFloat(high, c, 128.0F) * scale;
    }
  }
};

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_q8_0_rows1(ProductArguments a) {
  RowProduct<Q8_0, 1>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_q8_0_rows2(ProductArguments a) {
  RowProduct<Q8_0, 2>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_q8_0_rows4(ProductArguments a) {
  RowProduct<Q8_0, 4>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_q8_0_rows8(ProductArguments a) {
  RowProduct<Q8_0, 8>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    embed_q8_0(EmbedArguments a) {
  EmbedRow<Q8_0>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
