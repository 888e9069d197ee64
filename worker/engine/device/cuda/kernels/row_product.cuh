// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products by matrices stored row by row: a warp computes a row, and its lanes read pieces of eight
// columns side by side. Sums of lanes are added in a fixed order.
//
// A format defines the columns of a piece (First and First + kSecond, four each) and their weights
// (`Load`). kPieces: whether rows are whole pieces; else columns past the last whole piece are read
// one by one (`At`).
#pragma once

#include "product_kernels.cuh"

namespace wattle::cuda {

constexpr int kPieceColumns = 8;

template <typename Format, int kRows>
__device__ inline void AddPieces(const ProductArguments& a, int row, const float* table,
                                 float (&sums)[kRows]) {
  const int pieces = Format::Pieces(a.matrix);
  // Pieces loaded at the same time. With more of them, registers do not suffice.
  WATTLE_UNROLL_BY(kRows == 1 ? 4 : kRows < 4 ? 2 : 1)
  for (int piece = threadIdx.x % kWarpThreads; piece < pieces; piece += kWarpThreads) {
    float weights[kPieceColumns];
    Format::Load(a.matrix, row, piece, table, weights);
    const int column = Format::First(piece);
    WATTLE_UNROLL
    for (int i = 0; i < kRows; ++i) {
      if (i < a.count) {
        const float* inputs = a.inputs + static_cast<long long>(i) * a.input_stride + column;
        sums[i] += Dot4(weights, *reinterpret_cast<const float4*>(inputs)) +
                   Dot4(weights + 4, *reinterpret_cast<const float4*>(inputs + Format::kSecond));
      }
    }
  }
  if constexpr (!Format::kWholePieces) {
    WATTLE_UNROLL_BY(1)
    for (int column = pieces * kPieceColumns + threadIdx.x % kWarpThreads;
         column < a.matrix.columns; column += kWarpThreads) {
      const float weight = Format::At(a.matrix, row, column);
      WATTLE_UNROLL
      for (int i = 0; i < kRows; ++i) {
        if (i < a.count) {
          sums[i] += weight * a.inputs[static_cast<long long>(i) * a.input_stride + column];
        }
      }
    }
  }
}

// The product's row for each input, in all lanes.
template <typename Format, int kRows>
__device__ inline void SumsOfRow(const ProductArguments& a, int row, const float* table,
                                 float (&sums)[kRows]) {
  if (row < a.matrix.rows) {
    AddPieces<Format, kRows>(a, row, table, sums);
  }
  WATTLE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    WATTLE_UNROLL
    for (int distance = 1; distance < kWarpThreads; distance *= 2) {
      sums[i] += __shfl_xor_sync(0xFFFFFFFFU, sums[i], distance);
    }
  }
}

// The table of the format in shared memory, if it has one.
template <typename Format>
__device__ inline const float* TableOf(const StoredMatrix& matrix) {
  WATTLE_SHARED(float, table, [kNf4Levels + 1]);
  if constexpr (Format::kTable) {
    if (threadIdx.x < kNf4Levels) {
      table[threadIdx.x] = LoadConstant(matrix.tables + threadIdx.x);
    } else if (threadIdx.x == kNf4Levels) {
      table[kNf4Levels] = Format::LastOfTable(matrix);
    }
    __syncthreads();  // the table is complete
  }
  return table;
}

// Prefetches the rows of this block from `first` on; if rows are long, at most so many bytes in
// total.
constexpr int kRowBytesAhead = 32 << 10;
template <typename Format>
__device__ inline void AskForRows(const StoredMatrix& matrix, int first) {
  const int left = matrix.rows - first;
  const long long bytes = Format::RowBytes(matrix) * (left < kRowsOfBlock ? left : kRowsOfBlock);
  AskAhead<kBlockThreads>(matrix.packed + Format::RowBytes(matrix) * first,
                          bytes < kRowBytesAhead ? bytes : kRowBytesAhead);
}

// blockIdx.x * kRowsOfBlock: the first row; in a gated product, the first row in the second half.
template <typename Format, int kRows>
__device__ inline void RowProduct(const ProductArguments& a) {
  LetNextKernelBegin();
  AskForRows<Format>(a.matrix, static_cast<int>(blockIdx.x) * kRowsOfBlock);
  if (a.gated != 0) {
    AskForRows<Format>(a.matrix, static_cast<int>(blockIdx.x) * kRowsOfBlock + a.matrix.rows / 2);
  }
  const float* table = TableOf<Format>(a.matrix);
  AwaitKernelBefore();
  const int half = a.matrix.rows / 2;
  const int row = static_cast<int>(blockIdx.x) * kRowsOfBlock +
                  static_cast<int>(threadIdx.x) / kWarpThreads + (a.gated != 0 ? half : 0);
  float gates[kRows] = {};
  if (a.gated != 0) {
    SumsOfRow<Format, kRows>(a, row < a.matrix.rows ? row - half : row, table, gates);
  }
  float sums[kRows] = {};
  SumsOfRow<Format, kRows>(a, row, table, sums);
  if (threadIdx.x % kWarpThreads == 0 && row < a.matrix.rows) {
    WATTLE_UNROLL
    for (int i = 0; i < kRows; ++i) {
      if (i < a.count) {
        const float gate = a.gated != 0 ? gates[i] + BiasOf(a, row - half) : 0.0F;
        StoreSum(a, i, row, gate, sums[i] + BiasOf(a, row));
      }
    }
  }
}

// Calls store(column, weight) for the whole row, by all threads of the block.
template <typename Format, typename Store>
__device__ inline void ForEachWeight(const StoredMatrix& matrix, int row, Store store) {
  const float* table = TableOf<Format>(matrix);
  const int pieces = Format::Pieces(matrix);
  for (int piece = threadIdx.x; piece < pieces; piece += kBlockThreads) {
    float weights[kPieceColumns];
    Format::Load(matrix, row, piece, table, weights);
    for (int c = 0; c < kPieceColumns; ++c) {
      store(Format::First(piece) + c % 4 + (c < 4 ? 0 : Format::kSecond), weights[c]);
    }
  }
  if constexpr (!Format::kWholePieces) {
    WATTLE_UNROLL_BY(1)
    for (int column = pieces * kPieceColumns + threadIdx.x; column < matrix.columns;
         column += kBlockThreads) {
      store(column, Format::At(matrix, row, column));
    }
  }
}

// blockIdx.x: the place of the token.
template <typename Format>
__device__ inline void EmbedRow(const EmbedArguments& a) {
  LetNextKernelBegin();
  AwaitKernelBefore();
  const int i = blockIdx.x;
  ForEachWeight<Format>(a.matrix, static_cast<int>(a.tokens[i]),
                        [&](int column, float weight) { StoreEmbedding(a, i, column, weight); });
}

// blockIdx.x: the row, counted from first_row.
template <typename Format>
__device__ inline void DequantizeRow(const DequantizeArguments& a) {
  const int row = a.first_row + static_cast<int>(blockIdx.x);
  ForEachWeight<Format>(
      a.matrix, row, [&](int column, float weight) { StoreDequantized(a, row, column, weight); });
}

}  // namespace wattle::cuda

#define WATTLE_ROW_PRODUCTS(name, Format)                                                         \
  WATTLE_PRODUCT_KERNELS(name, kBlockThreads, kBlockThreads, RowProduct, EmbedRow, DequantizeRow, \
                         Format)
