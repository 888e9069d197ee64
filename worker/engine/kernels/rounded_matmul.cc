// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Cut as Goto and van de Geijn do ("Anatomy of High-Performance Matrix Multiplication", 2008): a
// block of the left factor is packed once and stays in the second-level cache; each thread packs a
// strip of the right factor and multiplies all of the block with it.
#include "worker/engine/kernels/rounded_matmul.h"

#include <algorithm>

#include "base/check.h"
#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/bf16.h"
#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

// A block of the left factor takes 1 MiB in 16 bits, half of a second-level cache; four panels of
// terms fit into a first-level one.
constexpr int64_t kBlockRows = 1024;
constexpr int64_t kBlockTerms = 512;
// Columns that one thread packs and multiplies at once: lines of the right factor and of the result
// are read whole, and in the order of memory.
constexpr int64_t kStripColumns = 8 * kRoundedLanes;

const RoundedFunctions& FunctionsOf(FactorType factors, const RoundedKernels& kernels) {
  WATTLE_CHECK(factors != FactorType::kFloat32, "FP32 factors are not rounded");
  return factors == FactorType::kBf16 ? kernels.bf16 : kernels.fp16;
}

int64_t CeilDivide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t LeftBytes(const RoundedFunctions& rounded) {
  return kBlockRows * kBlockTerms * rounded.element_bytes;
}
int64_t StripBytes(const RoundedFunctions& rounded) {
  return kStripColumns * kBlockTerms * rounded.element_bytes;
}

// Memory of the calling thread; it grows when it has to and is kept.
std::byte* Scratch(int64_t bytes) {
  thread_local AlignedBuffer scratch;
  if (scratch.size() < bytes) {
    scratch = AlignedBuffer(bytes);
  }
  return scratch.data();
}

// Rows [first_row, first_row + rows) and terms [first_term, first_term + terms) of the product.
struct Block {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_term = 0;
  int64_t terms = 0;
};

// Panels [first, end) of a block.
struct PanelRange {
  int64_t first = 0;
  int64_t end = 0;
};

// Several chunks for each thread, so that a slow one gets fewer.
int64_t ChunksOf(int64_t pieces, int threads) {
  constexpr int64_t kChunksOfThread = 8;
  return std::min<int64_t>(pieces, threads * kChunksOfThread);
}

int64_t PanelsOf(const Block& block) {
  return CeilDivide(block.rows, kRoundedLanes);
}

using PackFunction = void (*)(const RoundedPanel& panel);

// Packs lanes [0, lanes) of one factor, panel behind panel. of_lanes: what the first panel would be
// if it had all of them. Where lanes lie side by side, the panels are packed together, a few terms
// at a time: so a page of the source is looked up once and its lines are read whole.
void PackPanels(const RoundedPanel& of_lanes, PackFunction pack, int64_t element_bytes) {
  const bool together = of_lanes.lane_stride == 1;
  const int64_t piece = together ? kRoundedTermMultiple : of_lanes.terms;
  const int64_t panel_bytes =
      RoundUp(of_lanes.terms, kRoundedTermMultiple) * kRoundedLanes * element_bytes;
  auto* packed = static_cast<std::byte*>(of_lanes.packed);
  for (int64_t term = 0; term < of_lanes.terms; term += piece) {
    for (int64_t lane = 0; lane < of_lanes.lanes; lane += kRoundedLanes) {
      RoundedPanel panel = of_lanes;
      panel.values += term * of_lanes.term_stride + lane * of_lanes.lane_stride;
      panel.lanes = std::min(kRoundedLanes, of_lanes.lanes - lane);
      panel.terms = std::min(piece, of_lanes.terms - term);
      panel.packed =
          packed + lane / kRoundedLanes * panel_bytes + term * kRoundedLanes * element_bytes;
      pack(panel);
    }
  }
}

// As PackPanels, of BF16 numbers with the strides of `of_lanes`, whose values are not read: widened
// in pieces of a panel that stay in the first-level cache.
void PackBf16Panels(const uint16_t* numbers, const RoundedPanel& of_lanes, PackFunction pack,
                    int64_t element_bytes) {
  const bool together = of_lanes.lane_stride == 1;
  const int64_t lines_step = together ? of_lanes.term_stride : of_lanes.lane_stride;
  const int64_t panel_bytes =
      RoundUp(of_lanes.terms, kRoundedTermMultiple) * kRoundedLanes * element_bytes;
  auto* packed = static_cast<std::byte*>(of_lanes.packed);
  alignas(64) float widened[kRoundedLanes * kRoundedTermMultiple];
  const auto pack_piece = [&](int64_t lane, int64_t term) {
    const int64_t lanes = std::min(kRoundedLanes, of_lanes.lanes - lane);
    const int64_t terms = std::min(kRoundedTermMultiple, of_lanes.terms - term);
    const uint16_t* from = numbers + lane * of_lanes.lane_stride + term * of_lanes.term_stride;
    const int64_t line = together ? kRoundedLanes : kRoundedTermMultiple;
    for (int64_t i = 0; i < (together ? terms : lanes); ++i) {
      WidenBf16(from + i * lines_step, together ? lanes : terms, widened + i * line);
    }
    pack({.values = widened,
          .lane_stride = together ? 1 : line,
          .term_stride = together ? line : 1,
          .lanes = lanes,
          .terms = terms,
          .packed =
              packed + lane / kRoundedLanes * panel_bytes + term * kRoundedLanes * element_bytes});
  };
  const int64_t piece = together ? kRoundedTermMultiple : of_lanes.terms;
  for (int64_t term = 0; term < of_lanes.terms; term += piece) {
    for (int64_t lane = 0; lane < of_lanes.lanes; lane += kRoundedLanes) {
      for (int64_t inner = term; inner < std::min(term + piece, of_lanes.terms);
           inner += kRoundedTermMultiple) {
        pack_piece(lane, inner);
      }
    }
  }
}

// The panels [first, end) of the block's left factor.
void PackLeft(const RoundedProduct& product, const Block& block, const RoundedFunctions& rounded,
              std::byte* packed, const PanelRange& panels) {
  const int64_t panel_bytes =
      RoundUp(block.terms, kRoundedTermMultiple) * kRoundedLanes * rounded.element_bytes;
  const auto& [values, row_stride, term_stride] = product.left;
  const int64_t row = panels.first * kRoundedLanes;
  PackPanels(
      {.values = values + (block.first_row + row) * row_stride + block.first_term * term_stride,
       .lane_stride = row_stride,
       .term_stride = term_stride,
       .lanes = std::min(panels.end * kRoundedLanes, block.rows) - row,
       .terms = block.terms,
       .packed = packed + panels.first * panel_bytes},
      rounded.pack_left, rounded.element_bytes);
}

// The columns of one strip. left: as PackLeft packed it; scratch: of this thread.
void MultiplyStrip(const RoundedProduct& product, const Block& block,
                   const RoundedFunctions& rounded, int64_t first_column, const std::byte* left,
                   std::byte* scratch) {
  const int64_t terms = RoundUp(block.terms, kRoundedTermMultiple);
  const int64_t columns = std::min(kStripColumns, product.columns - first_column);
  const auto& [values, term_stride, column_stride] = product.right;
  const int64_t first = block.first_term * term_stride + first_column * column_stride;
  RoundedPanel right = {.lane_stride = column_stride,
                        .term_stride = term_stride,
                        .lanes = columns,
                        .terms = block.terms,
                        .packed = scratch};
  if (product.right_bf16 != nullptr) {
    PackBf16Panels(product.right_bf16 + first, right, rounded.pack_right, rounded.element_bytes);
  } else {
    right.values = values + first;
    PackPanels(right, rounded.pack_right, rounded.element_bytes);
  }
  float* out = product.out + block.first_row * product.out_stride + first_column;
  const bool begins = block.first_term == 0;
  const float* initial =
      product.initial == nullptr
          ? nullptr
          : product.initial + block.first_row * product.initial_stride + first_column;
  rounded.multiply({.left = left,
                    .right = scratch,
                    .rows = block.rows,
                    .columns = columns,
                    .terms = terms,
                    .initial = begins ? initial : out,
                    .initial_stride = begins ? product.initial_stride : product.out_stride,
                    .out = out,
                    .out_stride = product.out_stride});
}

// Calls body(block) for the blocks of a product, in the order in which they may be added up.
template <typename Body>
void ForEachBlock(const RoundedProduct& product, Body body) {
  WATTLE_CHECK((product.left.row_stride == 1 || product.left.column_stride == 1) &&
                   (product.right.row_stride == 1 || product.right.column_stride == 1),
               "rows or columns of a factor lie side by side");
  WATTLE_CHECK(product.terms > 0, "a product has terms");
  // Blocks of terms are as even as they can be.
  const int64_t block_terms = RoundUp(
      CeilDivide(product.terms, CeilDivide(product.terms, kBlockTerms)), kRoundedTermMultiple);
  for (int64_t term = 0; term < product.terms; term += block_terms) {
    for (int64_t row = 0; row < product.rows; row += kBlockRows) {
      body(Block{.first_row = row,
                 .rows = std::min(kBlockRows, product.rows - row),
                 .first_term = term,
                 .terms = std::min(block_terms, product.terms - term)});
    }
  }
}

}  // namespace

void MultiplyRounded(const RoundedProduct& product, ThreadPool& pool,
                     const RoundedKernels& kernels) {
  const RoundedFunctions& rounded = FunctionsOf(product.factors, kernels);
  std::byte* left = Scratch(LeftBytes(rounded) + pool.threads() * StripBytes(rounded));
  std::byte* strips = left + LeftBytes(rounded);
  ForEachBlock(product, [&](const Block& block) {
    const int64_t panels = PanelsOf(block);
    const int64_t pack_chunks = ChunksOf(panels, pool.threads());
    pool.ParallelFor(pack_chunks, [&](int64_t chunk, int /*thread*/) {
      PackLeft(product, block, rounded, left,
               {panels * chunk / pack_chunks, panels * (chunk + 1) / pack_chunks});
    });
    const int64_t strip_count = CeilDivide(product.columns, kStripColumns);
    const int64_t chunks = ChunksOf(strip_count, pool.threads());
    pool.ParallelFor(chunks, [&](int64_t chunk, int thread) {
      for (int64_t strip = strip_count * chunk / chunks; strip < strip_count * (chunk + 1) / chunks;
           ++strip) {
        MultiplyStrip(product, block, rounded, strip * kStripColumns, left,
                      strips + thread * StripBytes(rounded));
      }
    });
  });
}

void MultiplyRoundedBatch(const RoundedBatch& batch, ThreadPool& pool,
                          const RoundedKernels& kernels) {
  const RoundedFunctions& rounded = FunctionsOf(batch.first.factors, kernels);
  pool.ParallelFor(batch.count, [&](int64_t index, int /*thread*/) {
    RoundedProduct product = batch.first;
    product.left.values += index * batch.left_stride;
    product.right.values += index * batch.right_stride;
    product.out += index * batch.out_stride;
    std::byte* left = Scratch(LeftBytes(rounded) + StripBytes(rounded));
    ForEachBlock(product, [&](const Block& block) {
      PackLeft(product, block, rounded, left, {0, PanelsOf(block)});
      for (int64_t column = 0; column < product.columns; column += kStripColumns) {
        MultiplyStrip(product, block, rounded, column, left, left + LeftBytes(rounded));
      }
    });
  });
}

}  // namespace wattle::kernels
