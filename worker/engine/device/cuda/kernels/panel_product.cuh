// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products by matrices in panels of 16 rows (kernels/formats_internal.h). A line of 64 bytes holds
// some columns of all rows of a panel: four lanes read a line, 16 bytes and four rows each, so that
// a warp reads 512 bytes side by side, each once. A block computes one panel; sums of its lanes are
// added in a fixed order, so that the bits are the same in every run.
//
// A format defines the content of kWords words of 4 bytes, one from each line, for one row:
// kColumns weights, of which `Decode` returns kStep from column `first` on.
#pragma once

#include "product_kernels.cuh"

namespace wattle::cuda {

constexpr int kLineBytes = 64;
constexpr int kLinesOfWarp = kWarpThreads / 4;
constexpr int kRowsOfLane = 4;

// The lines of a panel; lines with the same columns count once.
template <typename Format>
__device__ inline int LinesOf(const StoredMatrix& matrix) {
  constexpr int kMultiple = Format::kColumnMultiple;
  return (matrix.columns + kMultiple - 1) / kMultiple * kMultiple / Format::kColumns;
}

template <typename Format>
__device__ inline const unsigned char* PanelOf(const StoredMatrix& matrix, int panel) {
  return matrix.packed +
         static_cast<long long>(panel) * LinesOf<Format>(matrix) * Format::kWords * kLineBytes;
}

// The FP16 scales of the rows of one group, and the minimums after them.
template <typename Format>
__device__ inline const unsigned char* GroupScales(const StoredMatrix& matrix, int panel,
                                                   int column) {
  constexpr int kBytes = kPanelRows * 2 * (Format::kMinimums ? 2 : 1);
  const int groups = matrix.columns / matrix.group;
  return matrix.scales + (static_cast<long long>(panel) * groups + column / matrix.group) * kBytes;
}

// Int6: the FP16 scales of the rows of one block, and after them a byte for each group and row.
constexpr int kBlockColumns = 256;
constexpr int kGroupsOfBlock = 16;
__device__ inline const unsigned char* BlockScales(const StoredMatrix& matrix, int panel,
                                                   int column) {
  const int blocks = matrix.columns / kBlockColumns;
  return matrix.scales + (static_cast<long long>(panel) * blocks + column / kBlockColumns) *
                             kPanelRows * (2 + kGroupsOfBlock);
}
// Offset of a group's scales from the start of a block's scales.
__device__ inline int GroupOfBlock(int column) {
  return kPanelRows * (2 + column % kBlockColumns / (kBlockColumns / kGroupsOfBlock));
}

__device__ inline float SignedByteAsFloat(unsigned word, int byte) {
  return ByteAsFloat(word ^ 0x80808080U, byte, 128.0F);
}

__device__ inline void UnpackHalves(uint2 halves, float* out) {
  out[0] = FloatFromFp16(halves.x);
  out[1] = FloatFromFp16(halves.x >> 16);
  out[2] = FloatFromFp16(halves.y);
  out[3] = FloatFromFp16(halves.y >> 16);
}

// Number of parts of a panel's lines, each added by a warp. Products of several rows have fewer
// warps, each of which takes several parts in turn: the bits of a row do not depend on the rows
// beside it.
constexpr int kPanelParts = kWarpsOfWide;
template <int kRows>
__device__ constexpr int WarpsOf() {
  return (kRows == 1 ? kWideThreads : kPanelThreads) / kWarpThreads;
}

// One lane's share of a line as loaded: codes of four rows, and their scales. The inputs of one row
// are loaded with them, so that only one wait is needed.
template <typename Format, int kRows>
struct LoadedLine {
  static constexpr bool kWithInputs = kRows == 1;
  float4 inputs[kWithInputs ? Format::kColumns / 4 : 1];
  uint4 codes[Format::kWords];
  uint2 scales;
  uint2 minimums;
  unsigned group_scales;  // only for int6
};

template <typename Format, int kRows>
__device__ inline void LoadLine(const ProductArguments& a, int panel, int line,
                                LoadedLine<Format, kRows>& loaded) {
  const int quarter = threadIdx.x % 4;
  const int column = line * Format::kColumns;
  const unsigned char* codes = PanelOf<Format>(a.matrix, panel) +
                               static_cast<long long>(line) * (Format::kWords * kLineBytes) +
                               quarter * 16;
  WATTLE_UNROLL
  for (int w = 0; w < Format::kWords; ++w) {
    loaded.codes[w] = LoadWeights16(codes + w * kLineBytes);
  }
  if constexpr (Format::kBlocks) {
    const unsigned char* place = BlockScales(a.matrix, panel, column);
    loaded.scales = LoadScales8(place + quarter * 8);
    loaded.group_scales = LoadScales4(place + GroupOfBlock(column) + quarter * 4);
  } else if constexpr (Format::kGroups) {
    const unsigned char* place = GroupScales<Format>(a.matrix, panel, column) + quarter * 8;
    loaded.scales = LoadScales8(place);
    if constexpr (Format::kMinimums) {
      loaded.minimums = LoadScales8(place + kPanelRows * 2);
    }
  }
  if constexpr (LoadedLine<Format, kRows>::kWithInputs) {
    WATTLE_UNROLL
    for (int c = 0; c < Format::kColumns; c += 4) {
      loaded.inputs[c / 4] = LoadInputs4(a.inputs, column + c, a.matrix.columns);
    }
  }
}

// Adds one line's share to the sums of this lane's four rows.
template <typename Format, int kRows>
__device__ inline void AddLine(const ProductArguments& a, int line,
                               const LoadedLine<Format, kRows>& loaded,
                               float (&sums)[kRows][kRowsOfLane]) {
  const int column = line * Format::kColumns;
  unsigned words[kRowsOfLane][Format::kWords];
  WATTLE_UNROLL
  for (int w = 0; w < Format::kWords; ++w) {
    words[0][w] = loaded.codes[w].x;
    words[1][w] = loaded.codes[w].y;
    words[2][w] = loaded.codes[w].z;
    words[3][w] = loaded.codes[w].w;
  }
  float scales[kRowsOfLane] = {1.0F, 1.0F, 1.0F, 1.0F};
  float minimums[kRowsOfLane] = {};
  if constexpr (Format::kGroups) {
    UnpackHalves(loaded.scales, scales);
    if constexpr (Format::kMinimums) {
      UnpackHalves(loaded.minimums, minimums);
    }
    if constexpr (Format::kBlocks) {
      WATTLE_UNROLL
      for (int r = 0; r < kRowsOfLane; ++r) {
        scales[r] *= SignedByteAsFloat(loaded.group_scales, r);
      }
    }
  }
  WATTLE_UNROLL
  for (int first = 0; first < Format::kColumns; first += Format::kStep) {
    float weights[kRowsOfLane][Format::kStep];
    for (int r = 0; r < kRowsOfLane; ++r) {
      Format::Decode(words[r], first, weights[r]);
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
        for (int c = 0; c < Format::kStep; c += 4) {
          float4 values = loaded.inputs[0];
          if constexpr (LoadedLine<Format, kRows>::kWithInputs) {
            values = loaded.inputs[(first + c) / 4];
          } else {
            values = LoadInputs4(inputs, column + first + c, a.matrix.columns);
          }
          WATTLE_UNROLL
          for (int r = 0; r < kRowsOfLane; ++r) {
            sums[i][r] += Dot4(weights[r] + c, values);
          }
        }
      }
    }
  }
}

// Lines of a lane in flight: a GPU's memory answers after hundreds of instructions, and a product
// of one row has few blocks. More rows have more work, and fewer registers left.
template <typename Format, int kRows>
__device__ constexpr int LinesAhead() {
  constexpr int kLines = kRows == 1   ? (Format::kGroups ? 2 : 3)
                         : kRows == 2 ? 4
                         : kRows == 4 ? 2
                                      : 1;
  return Format::kWords == 1 ? kLines : 1;
}

// Adds the lines of this lane, one after the other; `parts` share the panel. Once a line is added,
// the line `kAhead` later is requested.
template <typename Format, int kRows>
__device__ inline void AddLines(const ProductArguments& a, int panel, int part, int parts,
                                float (&sums)[kRows][kRowsOfLane]) {
  constexpr int kAhead = LinesAhead<Format, kRows>();
  const int step = parts * kLinesOfWarp;
  const int lane = threadIdx.x % kWarpThreads;
  const int lines = (a.matrix.columns + Format::kColumns - 1) / Format::kColumns;
  int line = part * kLinesOfWarp + lane / 4;
  LoadedLine<Format, kRows> loaded[kAhead];
  WATTLE_UNROLL
  for (int k = 0; k < kAhead; ++k) {
    if (line + k * step < lines) {
      LoadLine<Format, kRows>(a, panel, line + k * step, loaded[k]);
    }
  }
  WATTLE_UNROLL_BY(1)
  for (; line < lines; line += kAhead * step) {
    WATTLE_UNROLL
    for (int k = 0; k < kAhead; ++k) {
      const int own = line + k * step;
      if (own < lines) {
        AddLine<Format, kRows>(a, own, loaded[k], sums);
      }
      if (own + kAhead * step < lines) {
        LoadLine<Format, kRows>(a, panel, own + kAhead * step, loaded[k]);
      }
    }
  }
}

// The sum over some parts of the panel's lines.
template <int kRows>
__device__ inline float SumOfParts(const float (&of_parts)[kPanelParts][kRows][kPanelRows],
                                   int first, int parts) {
  float total = 0.0F;
  for (int p = first; p < first + parts; ++p) {
    total += of_parts[p][threadIdx.x / kPanelRows][threadIdx.x % kPanelRows];
  }
  return total;
}

// The factor of a row's sum, if the format scales rows, and the addend.
struct RowFinish {
  float scale;
  float bias;
  __device__ float Of(float sum) const { return sum * scale + bias; }
};

template <typename Format>
__device__ inline RowFinish FinishOf(const ProductArguments& a, int row) {
  float scale = 1.0F;
  if constexpr (!Format::kGroups) {
    scale = LoadScaleFloat(a.matrix.scales + static_cast<long long>(row) * 4);
  }
  return {scale, BiasOf(a, row)};
}

// Sums over this lane's lines, added over the warp, for all threads of the block to read.
template <typename Format, int kRows>
__device__ inline void LeaveSums(const ProductArguments& a, int panel, int part, int parts,
                                 float (&of_part)[kRows][kPanelRows]) {
  const int lane = threadIdx.x % kWarpThreads;
  float sums[kRows][kRowsOfLane] = {};
  AddLines<Format, kRows>(a, panel, part, parts, sums);
  WATTLE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    WATTLE_UNROLL
    for (int r = 0; r < kRowsOfLane; ++r) {
      float sum = sums[i][r];
      sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 4);
      sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 8);
      sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 16);
      if (lane < 4) {
        of_part[i][lane * kRowsOfLane + r] = sum;
      }
    }
  }
}

// Prefetches the codes of a panel, up to `most` bytes, and their scales.
template <typename Format, int kThreads>
__device__ inline void AskForPanel(StoredMatrix matrix, int panel, long long most) {
  panel = AsIfUnknown(panel);
  matrix.columns = AsIfUnknown(matrix.columns);
  matrix.group = AsIfUnknown(matrix.group);
  const unsigned char* codes = PanelOf<Format>(matrix, panel);
  const long long bytes = PanelOf<Format>(matrix, panel + 1) - codes;
  AskAhead<kThreads>(codes, bytes < most ? bytes : most);
  if constexpr (Format::kGroups) {
    const auto scales = [&](int of) {
      return Format::kBlocks ? BlockScales(matrix, of, 0) : GroupScales<Format>(matrix, of, 0);
    };
    AskAhead<kThreads>(scales(panel), scales(panel + 1) - scales(panel));
  }
}

// Bytes that a block prefetches before the preceding kernel ends: all blocks together leave room in
// the L2 cache for the data of that kernel.
constexpr long long kBytesAhead = 64 << 10;

// blockIdx.x: the panel. In a gated product, half of the parts take the gate's panel and the others
// the panel in the second half of the rows. The bias and scale of a row are requested before the
// lines.
template <typename Format, int kRows>
__device__ inline void PanelProduct(const ProductArguments& a) {
  WATTLE_SHARED(float, of_parts, [kPanelParts][kRows][kPanelRows]);
  LetNextKernelBegin();
  constexpr int kThreads = WarpsOf<kRows>() * kWarpThreads;
  const int thread = threadIdx.x;
  const bool gated = a.gated != 0;
  const int half = gated ? a.matrix.rows / 2 : 0;
  AskForPanel<Format, kThreads>(a.matrix, blockIdx.x, gated ? kBytesAhead / 2 : kBytesAhead);
  if (gated) {
    AskForPanel<Format, kThreads>(a.matrix, static_cast<int>(blockIdx.x) + half / kPanelRows,
                                  kBytesAhead / 2);
  }
  AwaitKernelBefore();
  const int gate_row = static_cast<int>(blockIdx.x) * kPanelRows + thread % kPanelRows;
  const int row = gate_row + half;
  const int i = thread / kPanelRows;
  const bool mine = thread < kRows * kPanelRows && i < a.count && row < a.matrix.rows;
  const RowFinish finish = mine ? FinishOf<Format>(a, row) : RowFinish{};
  const RowFinish gate_finish = mine && gated ? FinishOf<Format>(a, gate_row) : RowFinish{};

  const int parts = gated ? kPanelParts / 2 : kPanelParts;
  WATTLE_UNROLL_BY(1)
  for (int part = thread / kWarpThreads; part < kPanelParts; part += WarpsOf<kRows>()) {
    const int panel = static_cast<int>(blockIdx.x) + part / parts * (half / kPanelRows);
    LeaveSums<Format, kRows>(a, panel, part % parts, parts, of_parts[part]);
  }
  __syncthreads();  // the sums of all parts are written
  if (mine) {
    const float gate = gated ? gate_finish.Of(SumOfParts<kRows>(of_parts, 0, parts)) : 0.0F;
    StoreSum(a, i, row, gate, finish.Of(SumOfParts<kRows>(of_parts, kPanelParts - parts, parts)));
  }
}

// The weights of a row in one line.
template <typename Format>
__device__ inline void WeightsOfLine(const StoredMatrix& matrix, int row, int line,
                                     float (&weights)[Format::kColumns]) {
  const int panel = row / kPanelRows;
  float scale = 1.0F;
  float minimum = 0.0F;
  if constexpr (Format::kBlocks) {
    const unsigned char* place = BlockScales(matrix, panel, line * Format::kColumns);
    scale = FloatFromFp16(LoadScales2(place + row % kPanelRows * 2)) *
            SignedByteAsFloat(
                LoadScaleByte(place + GroupOfBlock(line * Format::kColumns) + row % kPanelRows), 0);
  } else if constexpr (Format::kGroups) {
    const unsigned char* place =
        GroupScales<Format>(matrix, panel, line * Format::kColumns) + row % kPanelRows * 2;
    scale = FloatFromFp16(LoadScales2(place));
    minimum = Format::kMinimums ? FloatFromFp16(LoadScales2(place + kPanelRows * 2)) : 0.0F;
  } else {
    scale = LoadScaleFloat(matrix.scales + static_cast<long long>(row) * 4);
  }
  const unsigned char* codes = PanelOf<Format>(matrix, panel) +
                               static_cast<long long>(row % kPanelRows) * 4 +
                               static_cast<long long>(line) * (Format::kWords * kLineBytes);
  unsigned words[Format::kWords];
  WATTLE_UNROLL
  for (int w = 0; w < Format::kWords; ++w) {
    words[w] = LoadWeights4(codes + w * kLineBytes);
  }
  WATTLE_UNROLL
  for (int first = 0; first < Format::kColumns; first += Format::kStep) {
    Format::Decode(words, first, weights + first);
  }
  for (float& weight : weights) {
    weight = weight * scale + minimum;
  }
}

// blockIdx.x: the place of the token.
template <typename Format>
__device__ inline void EmbedPanelRow(const EmbedArguments& a) {
  LetNextKernelBegin();
  AwaitKernelBefore();
  const int i = blockIdx.x;
  const int row = static_cast<int>(a.tokens[i]);
  for (int line = threadIdx.x; line * Format::kColumns < a.matrix.columns; line += kBlockThreads) {
    const int column = line * Format::kColumns;
    float weights[Format::kColumns];
    WeightsOfLine<Format>(a.matrix, row, line, weights);
    for (int c = 0; c < Format::kColumns && column + c < a.matrix.columns; ++c) {
      StoreEmbedding(a, i, column + c, weights[c]);
    }
  }
}

// blockIdx.x: the panel, counted from first_row. Neighbouring threads read one line.
template <typename Format>
__device__ inline void DequantizePanel(const DequantizeArguments& a) {
  const int first = a.first_row + static_cast<int>(blockIdx.x) * kPanelRows;
  const int row = first + static_cast<int>(threadIdx.x) % kPanelRows;
  if (row >= a.first_row + a.rows) {
    return;
  }
  constexpr int kLinesOfBlock = kBlockThreads / kPanelRows;
  for (int line = static_cast<int>(threadIdx.x) / kPanelRows;
       line * Format::kColumns < a.matrix.columns; line += kLinesOfBlock) {
    const int column = line * Format::kColumns;
    float weights[Format::kColumns];
    WeightsOfLine<Format>(a.matrix, row, line, weights);
    for (int c = 0; c < Format::kColumns && column + c < a.matrix.columns; ++c) {
      StoreDequantized(a, row, column + c, weights[c]);
    }
  }
}

}  // namespace wattle::cuda

#define WATTLE_PANEL_PRODUCTS(name, Format)                                              \
  WATTLE_PRODUCT_KERNELS(name, kWideThreads, kPanelThreads, PanelProduct, EmbedPanelRow, \
                         DequantizePanel, Format)
