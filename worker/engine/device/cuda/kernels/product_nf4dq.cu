// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "row_product.cuh"

namespace wattle::cuda {
namespace {

// NF4 with double quantization (kernels/nf4_double_format.cc): two columns per byte, the first in
// the high half; scales of groups are codes of a map, in blocks of 256 with an FP32 scale, and
// mean.
struct Nf4Dq {
  static constexpr int kSecond = 4;
  static constexpr bool kWholePieces = true;
  static constexpr bool kTable = true;
  static __device__ long long RowBytes(const StoredMatrix& m) { return m.columns / 2; }
  static __device__ int First(int piece) { return piece * kPieceColumns; }
  static __device__ int Pieces(const StoredMatrix& m) { return m.columns / kPieceColumns; }
  static __device__ const unsigned char* BlockScales(const StoredMatrix& m) {
    return m.scales + (GroupsOf(m) + 3) / 4 * 4;
  }
  static __device__ long long GroupsOf(const StoredMatrix& m) {
    return static_cast<long long>(m.rows) * (m.columns / m.group);
  }
  // The mean that was subtracted from the scales.
  static __device__ float LastOfTable(const StoredMatrix& m) {
    return LoadScaleFloat(BlockScales(m) + (GroupsOf(m) + 255) / 256 * 4);
  }
  static __device__ float ScaleOf(const StoredMatrix& m, int row, int column, float mean) {
    const long long group = (static_cast<long long>(row) * m.columns + column) / m.group;
    const float block = LoadScaleFloat(BlockScales(m) + group / 256 * 4);
    return m.tables[kNf4Levels + LoadScaleByte(m.scales + group)] * block + mean;
  }
  static __device__ void Load(const StoredMatrix& m, int row, int piece, const float* table,
                              float* weights) {
    const int column = First(piece);
    const float scale = ScaleOf(m, row, column, table[kNf4Levels]);
    const unsigned word =
        LoadWeights4(m.packed + (static_cast<long long>(row) * m.columns + column) / 2);
    for (int c = 0; c < kPieceColumns; ++c) {
      weights[c] = table[word >> (c / 2 * 8 + (c % 2 == 0 ? 4 : 0)) & 15U] * scale;
    }
  }
};

}  // namespace

WATTLE_ROW_PRODUCTS(nf4dq, Nf4Dq)

}  // namespace wattle::cuda
