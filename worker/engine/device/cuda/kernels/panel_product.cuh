// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products by matrices in panels of 16 rows (kernels/formats_internal.h). A line of 64 bytes holds
// some columns of all rows of a panel: four lanes read a line, 16 bytes and four rows each, so that
// a warp reads 512 bytes side by side, each once. A block computes one panel; sums of its lanes are
// added in one order, so that the bits are the same in every run.
//
// A format says what a word of 4 bytes holds of one row: kColumns weights, `Decode`.
#pragma once

#include "product_kernels.cuh"

namespace wattle::cuda {

constexpr int kLineBytes = 64;
constexpr int kLinesOfWarp = kWarpThreads / 4;
constexpr int kRowsOfLane = 4;

template <typename Format>
__device__ inline int LinesOf(const StoredMatrix& matrix) {
  constexpr int kMultiple = Format::kColumnMultiple;
  return (matrix.columns + kMultiple - 1) / kMultiple * kMultiple / Format::kColumns;
}

template <typename Format>
__device__ inline const unsigned char* PanelOf(const StoredMatrix& matrix, int panel) {
  return matrix.packed + static_cast<long long>(panel) * LinesOf<Format>(matrix) * kLineBytes;
}

// The FP16 scales of the rows of one group, and the minimums behind them.
template <typename Format>
__device__ inline const unsigned char* GroupScales(const StoredMatrix& matrix, int panel,
                                                   int column) {
  constexpr int kBytes = kPanelRows * 2 * (Format::kMinimums ? 2 : 1);
  const int groups = matrix.columns / matrix.group;
  return matrix.scales + (static_cast<long long>(panel) * groups + column / matrix.group) * kBytes;
}

__device__ inline void UnpackHalves(uint2 halves, float* out) {
  out[0] = FloatFromHalf(halves.x);
  out[1] = FloatFromHalf(halves.x >> 16);
  out[2] = FloatFromHalf(halves.y);
  out[3] = FloatFromHalf(halves.y >> 16);
}

// One lane's part of a line, as it was loaded: codes of four rows, and what scales them.
template <typename Format>
struct LoadedLine {
  uint4 codes;
  uint2 scales;
  uint2 minimums;
};

template <typename Format>
__device__ inline LoadedLine<Format> LoadLine(const StoredMatrix& matrix, int panel, int line) {
  const int quarter = threadIdx.x % 4;
  LoadedLine<Format> loaded = {};
  loaded.codes = LoadWeights16(PanelOf<Format>(matrix, panel) +
                               static_cast<long long>(line) * kLineBytes + quarter * 16);
  if constexpr (Format::kGroups) {
    const unsigned char* place =
        GroupScales<Format>(matrix, panel, line * Format::kColumns) + quarter * 8;
    loaded.scales = LoadScales8(place);
    if constexpr (Format::kMinimums) {
      loaded.minimums = LoadScales8(place + kPanelRows * 2);
    }
  }
  return loaded;
}

// Adds one line's share to the sums of this lane's four rows.
template <typename Format, int kRows>
__device__ inline void AddLine(const ProductArguments& a, int line,
                               const LoadedLine<Format>& loaded,
                               float (&sums)[kRows][kRowsOfLane]) {
  const int column = line * Format::kColumns;
  const unsigned words[kRowsOfLane] = {loaded.codes.x, loaded.codes.y, loaded.codes.z,
                                       loaded.codes.w};
  float scales[kRowsOfLane] = {1.0F, 1.0F, 1.0F, 1.0F};
  float minimums[kRowsOfLane] = {};
  if constexpr (Format::kGroups) {
    UnpackHalves(loaded.scales, scales);
    if constexpr (Format::kMinimums) {
      UnpackHalves(loaded.minimums, minimums);
    }
  }
  float weights[kRowsOfLane][Format::kColumns];
  for (int r = 0; r < kRowsOfLane; ++r) {
    Format::Decode(words[r], weights[r]);
    if constexpr (Format::kGroups) {
      for (float& weight : weights[r]) {
        weight = weight * scales[r] + minimums[r];
      }
    }
  }
  WATTLE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    if (i < a.count) {
      const float* inputs = a.inputs + static_cast<long long>(i) * a.input_stride;
      WATTLE_UNROLL
      for (int c = 0; c < Format::kColumns; c += 4) {
        const float4 values = LoadInputs4(inputs, column + c, a.matrix.columns);
        WATTLE_UNROLL
        for (int r = 0; r < kRowsOfLane; ++r) {
          sums[i][r] += Dot4(weights[r] + c, values);
        }
      }
    }
  }
}

// Lines that a lane loads before it adds the first of them: a GPU's memory answers after hundreds
// of instructions, and one row has few blocks. More rows have more work, and fewer registers left.
template <typename Format, int kRows>
__device__ constexpr int LinesAhead() {
  return kRows == 1 ? (Format::kGroups ? 4 : 8) : kRows == 2 ? 4 : kRows == 4 ? 2 : 1;
}

// Adds the lines of this lane, one after the other.
template <typename Format, int kRows>
__device__ inline void AddLines(const ProductArguments& a, int panel,
                                float (&sums)[kRows][kRowsOfLane]) {
  constexpr int kAhead = LinesAhead<Format, kRows>();
  constexpr int kStep = kWarpsOfPanel * kLinesOfWarp;
  const int lane = threadIdx.x % kWarpThreads;
  const int warp = threadIdx.x / kWarpThreads;
  const int lines = (a.matrix.columns + Format::kColumns - 1) / Format::kColumns;
  WATTLE_UNROLL_BY(1)
  for (int first = warp * kLinesOfWarp + lane / 4; first < lines; first += kAhead * kStep) {
    LoadedLine<Format> loaded[kAhead];
    WATTLE_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      if (first + k * kStep < lines) {
        loaded[k] = LoadLine<Format>(a.matrix, panel, first + k * kStep);
      }
    }
    WATTLE_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      if (first + k * kStep < lines) {
        AddLine<Format, kRows>(a, first + k * kStep, loaded[k], sums);
      }
    }
  }
}

// This panel's sums of all lanes: thread i * 16 + r has that of input row i and row r.
template <typename Format, int kRows>
__device__ inline float SumOfPanel(const ProductArguments& a, int panel) {
  WATTLE_SHARED(float, of_warps, [kWarpsOfPanel][kRows][kPanelRows]);
  const int thread = threadIdx.x;
  const int lane = thread % kWarpThreads;
  const int warp = thread / kWarpThreads;
  float sums[kRows][kRowsOfLane] = {};
  AddLines<Format, kRows>(a, panel, sums);
  WATTLE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    WATTLE_UNROLL
    for (int r = 0; r < kRowsOfLane; ++r) {
      float sum = sums[i][r];
      sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 4);
      sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 8);
      sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 16);
      if (lane < 4) {
        of_warps[warp][i][lane * kRowsOfLane + r] = sum;
      }
    }
  }
  __syncthreads();  // the sums of all warps are there
  float total = 0.0F;
  if (thread < kRows * kPanelRows) {
    for (int w = 0; w < kWarpsOfPanel; ++w) {
      total += of_warps[w][thread / kPanelRows][thread % kPanelRows];
    }
  }
  __syncthreads();  // and read before the next panel writes its own
  return total;
}

// What the sum becomes: scaled by its row where the format scales rows, and with its bias.
template <typename Format>
__device__ inline float Finished(const ProductArguments& a, int row, float sum) {
  if constexpr (!Format::kGroups) {
    sum *= LoadScaleFloat(a.matrix.scales + static_cast<long long>(row) * 4);
  }
  return sum + BiasOf(a, row);
}

// blockIdx.x: the panel, of the second half of the rows where the product is gated.
template <typename Format, int kRows>
__device__ inline void PanelProduct(const ProductArguments& a) {
  const int thread = threadIdx.x;
  const int half = a.matrix.rows / 2;
  const int panel = blockIdx.x + (a.gated != 0 ? half / kPanelRows : 0);
  const int row = panel * kPanelRows + thread % kPanelRows;
  const int i = thread / kPanelRows;
  const bool mine = thread < kRows * kPanelRows && i < a.count && row < a.matrix.rows;
  float gate = 0.0F;
  if (a.gated != 0) {
    gate = SumOfPanel<Format, kRows>(a, panel - half / kPanelRows);
    if (mine) {
      gate = Finished<Format>(a, row - half, gate);
    }
  }
  const float sum = SumOfPanel<Format, kRows>(a, panel);
  if (mine) {
    StoreSum(a, i, row, gate, Finished<Format>(a, row, sum));
  }
}

// blockIdx.x: the place of the token.
template <typename Format>
__device__ inline void EmbedPanelRow(const EmbedArguments& a) {
  const int i = blockIdx.x;
  const int row = static_cast<int>(a.tokens[i]);
  const int panel = row / kPanelRows;
  const unsigned char* words =
      PanelOf<Format>(a.matrix, panel) + static_cast<long long>(row % kPanelRows) * 4;
  for (int line = threadIdx.x; line * Format::kColumns < a.matrix.columns; line += kBlockThreads) {
    const int column = line * Format::kColumns;
    float scale = 1.0F;
    float minimum = 0.0F;
    if constexpr (Format::kGroups) {
      const unsigned char* place =
          GroupScales<Format>(a.matrix, panel, column) + row % kPanelRows * 2;
      scale = FloatFromHalf(LoadScales2(place));
      minimum = Format::kMinimums ? FloatFromHalf(LoadScales2(place + kPanelRows * 2)) : 0.0F;
    } else {
      scale = LoadScaleFloat(a.matrix.scales + static_cast<long long>(row) * 4);
    }
    float weights[Format::kColumns];
    Format::Decode(LoadWeights4(words + static_cast<long long>(line) * kLineBytes), weights);
    for (int c = 0; c < Format::kColumns && column + c < a.matrix.columns; ++c) {
      StoreEmbedding(a, i, column + c, weights[c] * scale + minimum);
    }
  }
}

}  // namespace wattle::cuda

#define WATTLE_PANEL_PRODUCTS(name, Format) \
  WATTLE_PRODUCT_KERNELS(name, kPanelThreads, PanelProduct, EmbedPanelRow, Format)
