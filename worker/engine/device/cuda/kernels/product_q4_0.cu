// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "row_product.cuh"

namespace wattle::cuda {
namespace {

// GGUF's Q4_0: blocks of 18 bytes, an FP16 scale and 16 bytes, each with a column of the first half
// of the block in its low half and one of the second in its high half; code - 8.
struct Q4_0 {
  static constexpr int kSecond = 16;
  static constexpr bool kWholePieces = true;
  static constexpr bool kTable = false;
  static __device__ int First(int piece) { return piece / 4 * 32 + piece % 4 * 4; }
  static __device__ int Pieces(const StoredMatrix& m) { return m.columns / kPieceColumns; }
  static __device__ void Load(const StoredMatrix& m, int row, int piece, const float* /*table*/,
                              float* weights) {
    const unsigned char* block =
        m.packed + (static_cast<long long>(row) * (m.columns / 32) + piece / 4) * 18;
    const float scale = FloatFromHalf(LoadScales2(block));
    const unsigned word = LoadWeights4At2(block + 2 + piece % 4 * 4);
    const unsigned low = word & 0x0F0F0F0FU;
    const unsigned high = word >> 4 & 0x0F0F0F0FU;
    for (int c = 0; c < 4; ++c) {
      weights[c] = ByteAsFloat(low, c, 8.0F) * scale;
      weights[c + 4] = ByteAsFloat(high, c, 8.0F) * scale;
    }
  }
};

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_q4_0_rows1(ProductArguments a) {
  RowProduct<Q4_0, 1>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_q4_0_rows2(ProductArguments a) {
  RowProduct<Q4_0, 2>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_q4_0_rows4(ProductArguments a) {
  RowProduct<Q4_0, 4>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    product_q4_0_rows8(ProductArguments a) {
  RowProduct<Q4_0, 8>(a);
}
__global__ void __launch_bounds__(kBlockThreads, kProductBlocksAtOnce)
    embed_q4_0(EmbedArguments a) {
  EmbedRow<Q4_0>(a);
}

}  // extern "C"

}  // namespace wattle::cuda
