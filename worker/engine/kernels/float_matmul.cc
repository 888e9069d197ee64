// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Blocked as by Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008):
// a block of the factor with fewer lanes is packed once and stays in the L2 cache; each thread
// packs a strip of the other factor and multiplies the whole block with it.
#include "worker/engine/kernels/float_matmul.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/bf16.h"
#include "worker/engine/kernels/formats_internal.h"

namespace wattle::kernels {
namespace {

// A block takes up to 3 MiB and a strip 768 KiB. A strip stays in the L2 cache of processors with
// AMX; a block is streamed once per strip, and may come from the L3 cache.
constexpr int64_t kBlockLanes = 1024;
constexpr int64_t kStripLanes = 16 * kFloatLanes;
constexpr int64_t kLaneBytes = 3072;
constexpr int64_t kBlockBytes = kBlockLanes * kLaneBytes;
constexpr int64_t kStripBytes = kStripLanes * kLaneBytes;

// Terms in a block.
int64_t BlockTerms(const FloatFunctions& functions) {
  return kLaneBytes / functions.element_bytes;
}

const FloatFunctions& FunctionsOf(FactorType factors, const FloatKernels& kernels) {
  if (factors == FactorType::kFloat32) {
    WATTLE_CHECK(HasFloat32Products(kernels), "this processor has kernels of FP32 factors");
    return kernels.float32;
  }
  return factors == FactorType::kBf16 ? kernels.bf16 : kernels.fp16;
}

int64_t CeilDivide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Memory of the calling thread, which grows on demand and is kept.
std::byte* Scratch(int64_t bytes) {
  thread_local AlignedBuffer scratch;
  if (scratch.size() < bytes) {
    scratch = AlignedBuffer(bytes);
  }
  return scratch.data();
}

// Some lanes, terms or panels: [first, first + count).
struct Range {
  int64_t first = 0;
  int64_t count = 0;
};

// Part `index` of `parts` that are as even as possible.
Range PartOf(int64_t count, int64_t index, int64_t parts) {
  const int64_t first = count * index / parts;
  return {first, count * (index + 1) / parts - first};
}

// A factor as lanes and terms: lanes are the rows of the left factor and the columns of the right
// one.
struct Factor {
  const float* values = nullptr;
  const uint16_t* bf16 = nullptr;  // not null: instead of values
  int64_t lane_stride = 0;
  int64_t term_stride = 0;
  int64_t lanes = 0;
  void (*pack)(const FloatPanel& panel) = nullptr;
};

Factor LeftOf(const FloatProduct& product, const FloatFunctions& functions) {
  return {.values = product.left.values,
          .lane_stride = product.left.row_stride,
          .term_stride = product.left.column_stride,
          .lanes = product.rows,
          .pack = functions.pack_left};
}

Factor RightOf(const FloatProduct& product, const FloatFunctions& functions) {
  return {.values = product.right.values,
          .bf16 = product.right_bf16,
          .lane_stride = product.right.column_stride,
          .term_stride = product.right.row_stride,
          .lanes = product.columns,
          .pack = functions.pack_right};
}

// The destination of packed panels, one after the other.
struct Packed {
  std::byte* begin = nullptr;
  int64_t element_bytes = 0;
  int64_t terms = 0;  // in a panel

  // lane and term begin a panel and a piece of it.
  [[nodiscard]] std::byte* At(int64_t lane, int64_t term) const {
    const int64_t panel = RoundUp(terms, kFloatTermMultiple) * kFloatLanes;
    return begin + (lane / kFloatLanes * panel + term * kFloatLanes) * element_bytes;
  }
};

// Packs a piece of one panel; BF16 numbers are widened first, in pieces of a panel that stay in the
// L1 cache.
void PackPiece(const Factor& factor, const Range& lanes, const Range& terms, int64_t element_bytes,
               std::byte* packed) {
  const int64_t first = lanes.first * factor.lane_stride + terms.first * factor.term_stride;
  if (factor.bf16 == nullptr) {
    factor.pack({.values = factor.values + first,
                 .lane_stride = factor.lane_stride,
                 .term_stride = factor.term_stride,
                 .lanes = lanes.count,
                 .terms = terms.count,
                 .packed = packed});
    return;
  }
  const bool together = factor.lane_stride == 1;
  const int64_t lines_step = together ? factor.term_stride : factor.lane_stride;
  const int64_t line = together ? kFloatLanes : kFloatTermMultiple;
  alignas(64) float widened[kFloatLanes * kFloatTermMultiple];
  for (int64_t term = 0; term < terms.count; term += kFloatTermMultiple) {
    const int64_t count = std::min(kFloatTermMultiple, terms.count - term);
    const uint16_t* from = factor.bf16 + first + term * factor.term_stride;
    for (int64_t i = 0; i < (together ? count : lanes.count); ++i) {
      WidenBf16(from + i * lines_step, together ? lanes.count : count, widened + i * line);
    }
    factor.pack({.values = widened,
                 .lane_stride = together ? 1 : line,
                 .term_stride = together ? line : 1,
                 .lanes = lanes.count,
                 .terms = count,
                 .packed = packed + term * kFloatLanes * element_bytes});
  }
}

// The columns and the terms of a block that the 32 rows from `row` on need. all_terms: of the
// product.
RowsNeed NeedOf(const CausalMask& mask, int64_t row, const Range& columns, const Range& terms,
                int64_t all_terms) {
  constexpr int64_t kMultiple = kFloatTermMultiple;
  const int64_t padded = RoundUp(terms.count, kMultiple);
  RowsNeed need = {0, padded, columns.count};
  if (mask.part == CausalMask::Part::kLeftTransposed) {
    if (mask.queries == all_terms) {
      const int64_t first_query = row - mask.diagonal - terms.first;
      need.first_term =
          std::clamp<int64_t>(first_query, 0, padded - kMultiple) / kMultiple * kMultiple;
    }
    return need;
  }
  const int64_t last_row = row + kRowsOfNeed - 1;
  if (row / mask.queries != last_row / mask.queries) {
    return need;  // queries of two heads
  }
  const int64_t seen = last_row % mask.queries + 1 + mask.diagonal;
  if (mask.part == CausalMask::Part::kResult) {
    need.end_column = std::clamp<int64_t>(seen - columns.first, 0, columns.count);
  } else {
    need.end_term = std::clamp(RoundUp(seen - terms.first, kMultiple), kMultiple, padded);
  }
  return need;
}

// Packs some lanes of a factor, panel after panel, or for each 32 lanes only the terms that they
// need. If lanes are contiguous, the panels are packed together, a few terms at a time, so that a
// page of the source is looked up once and its lines are read whole.
void PackLanes(const Factor& factor, const Range& lanes, const Range& terms, const Packed& packed,
               const RowsNeed* needs = nullptr) {
  // Follows the memory layout: along contiguous lanes only a few terms at a time, else whole
  // panels.
  const int64_t piece = factor.lane_stride == 1 ? kFloatTermMultiple : terms.count;
  for (int64_t term = 0; term < terms.count; term += piece) {
    for (int64_t lane = 0; lane < lanes.count; lane += kFloatLanes) {
      int64_t begin = term;
      int64_t end = std::min(term + piece, terms.count);
      if (needs != nullptr) {
        const RowsNeed& need = needs[lane / kRowsOfNeed];
        begin = std::max(begin, need.first_term);
        end = std::min(end, need.end_term);
      }
      if (begin < end) {
        PackPiece(factor, {lanes.first + lane, std::min(kFloatLanes, lanes.count - lane)},
                  {terms.first + begin, end - begin}, packed.element_bytes, packed.At(lane, begin));
      }
    }
  }
}

// How a product is cut. The cut does not depend on the number of threads, except for the widths of
// strips, which do not affect sums.
struct Cut {
  const FloatProduct& product;
  const FloatFunctions& functions;
  bool strips_of_columns;
  Factor shared;   // packed in blocks
  Factor striped;  // packed in strips
  CausalMask mask;
};

Cut CutOf(const FloatProduct& product, const FloatFunctions& functions,
          const CausalMask& mask = {}) {
  WATTLE_CHECK((product.left.row_stride == 1 || product.left.column_stride == 1) &&
                   (product.right.row_stride == 1 || product.right.column_stride == 1),
               "rows or columns of a factor lie side by side");
  WATTLE_CHECK(product.terms > 0, "a product has terms");
  const Factor left = LeftOf(product, functions);
  const Factor right = RightOf(product, functions);
  // The smaller side is packed once as the block; the larger side is streamed in strips.
  const bool strips_of_columns = product.columns >= product.rows;
  return {.product = product,
          .functions = functions,
          .strips_of_columns = strips_of_columns,
          .shared = strips_of_columns ? left : right,
          .striped = strips_of_columns ? right : left,
          .mask = mask};
}

// Lanes in a strip, chosen for equal work on threads that take turns: the width at which the
// busiest thread has the least.
int64_t StripWidth(int64_t lanes, int threads) {
  constexpr int64_t kMultiple = 2 * kFloatLanes;
  int64_t best = kStripLanes;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int64_t width = kStripLanes; width >= kStripLanes / 2; width -= kMultiple) {
    const int64_t busiest = CeilDivide(CeilDivide(lanes, width), threads) * width;
    if (busiest < least) {
      least = busiest;
      best = width;
    }
  }
  return best;
}

// Calls body(lanes of the shared factor, terms) for the blocks, in an order in which they may be
// added up.
template <typename Body>
void ForEachBlock(const Cut& cut, Body body) {
  // Blocks of terms are as even as possible.
  const int64_t all = cut.product.terms;
  const int64_t block_terms =
      RoundUp(CeilDivide(all, CeilDivide(all, BlockTerms(cut.functions))), kFloatTermMultiple);
  for (int64_t term = 0; term < all; term += block_terms) {
    for (int64_t lane = 0; lane < cut.shared.lanes; lane += kBlockLanes) {
      body(Range{lane, std::min(kBlockLanes, cut.shared.lanes - lane)},
           Range{term, std::min(block_terms, all - term)});
    }
  }
}

// Packs a block on all threads. If lanes are contiguous, threads share its terms, so that each
// reads whole lines of the source in order; else they share its panels.
void PackBlock(const Factor& factor, const Range& lanes, const Range& terms, const Packed& packed,
               ThreadPool& pool) {
  // Several pieces per thread, so that a slow thread gets fewer.
  constexpr int64_t kPiecesOfThread = 8;
  const bool of_terms = factor.lane_stride == 1;
  const int64_t unit = of_terms ? kFloatTermMultiple : kFloatLanes;
  const int64_t count = of_terms ? terms.count : lanes.count;
  const int64_t units = CeilDivide(count, unit);
  const int64_t pieces = std::min<int64_t>(units, pool.threads() * kPiecesOfThread);
  pool.ParallelFor(pieces, [&](int64_t index, int /*thread*/) {
    const Range of_units = PartOf(units, index, pieces);
    const int64_t first = of_units.first * unit;
    const int64_t some = std::min(of_units.count * unit, count - first);
    Packed piece = packed;
    if (of_terms) {
      piece.begin = packed.At(0, first);
      PackLanes(factor, lanes, {terms.first + first, some}, piece);
    } else {
      piece.begin = packed.At(first, 0);
      PackLanes(factor, {lanes.first + first, some}, terms, piece);
    }
  });
}

// The needs of each 32 rows of a strip or block, in `needs`; null if everything is needed, or if
// the kernel processes everything anyway.
using Needs = std::array<RowsNeed, kBlockLanes / kRowsOfNeed>;
const RowsNeed* FindNeeds(const Cut& cut, const Range& rows, const Range& columns,
                          const Range& terms, Needs& needs) {
  if (cut.mask.part == CausalMask::Part::kNone || !cut.functions.reads_needs ||
      rows.count < columns.count) {
    return nullptr;
  }
  for (int64_t row = 0; row < rows.count; row += kRowsOfNeed) {
    needs[static_cast<size_t>(row / kRowsOfNeed)] =
        NeedOf(cut.mask, rows.first + row, columns, terms, cut.product.terms);
  }
  return needs.data();
}

// Packs one strip into `packed` and multiplies the block with it. block: packed, `shared` lanes.
void MultiplyStrip(const Cut& cut, const Range& shared, const Range& strip, const Range& terms,
                   const std::byte* block, std::byte* packed) {
  const FloatProduct& product = cut.product;
  const Range& rows = cut.strips_of_columns ? shared : strip;
  const Range& columns = cut.strips_of_columns ? strip : shared;
  Needs of_rows;
  const RowsNeed* needs = FindNeeds(cut, rows, columns, terms, of_rows);
  PackLanes(cut.striped, strip, terms, {packed, cut.functions.element_bytes, terms.count},
            cut.strips_of_columns ? nullptr : needs);
  float* out = product.out + rows.first * product.out_stride + columns.first;
  // Later blocks of terms add to the result of the earlier ones.
  const bool begins = terms.first == 0;
  const float* initial =
      product.initial == nullptr
          ? nullptr
          : product.initial + rows.first * product.initial_stride + columns.first;
  cut.functions.multiply({.left = cut.strips_of_columns ? block : packed,
                          .right = cut.strips_of_columns ? packed : block,
                          .rows = rows.count,
                          .columns = columns.count,
                          .terms = RoundUp(terms.count, kFloatTermMultiple),
                          .initial = begins ? initial : out,
                          .initial_stride = begins ? product.initial_stride : product.out_stride,
                          .out = out,
                          .out_stride = product.out_stride,
                          .needs = needs});
}

}  // namespace

bool HasFloat32Products(const FloatKernels& kernels) {
  return kernels.float32.multiply != nullptr;
}

void MultiplyFloats(const FloatProduct& product, ThreadPool& pool, const FloatKernels& kernels) {
  const FloatFunctions& functions = FunctionsOf(product.factors, kernels);
  const Cut cut = CutOf(product, functions);
  std::byte* block = Scratch(kBlockBytes + pool.threads() * kStripBytes);
  std::byte* strips = block + kBlockBytes;
  const int64_t width = StripWidth(cut.striped.lanes, pool.threads());
  ForEachBlock(cut, [&](const Range& shared, const Range& terms) {
    PackBlock(cut.shared, shared, terms, {block, functions.element_bytes, terms.count}, pool);
    pool.ParallelFor(CeilDivide(cut.striped.lanes, width), [&](int64_t index, int thread) {
      const int64_t first = index * width;
      MultiplyStrip(cut, shared, {first, std::min(width, cut.striped.lanes - first)}, terms, block,
                    strips + thread * kStripBytes);
    });
  });
}

void MultiplyFloatBatch(const FloatBatch& batch, ThreadPool& pool, const FloatKernels& kernels) {
  const FloatFunctions& functions = FunctionsOf(batch.first.factors, kernels);
  pool.ParallelFor(batch.outer_count * batch.inner_count, [&](int64_t index, int /*thread*/) {
    const auto offset = [&](const BatchStrides& strides) {
      return index / batch.inner_count * strides.outer + index % batch.inner_count * strides.inner;
    };
    FloatProduct product = batch.first;
    product.left.values += offset(batch.left);
    product.right.values += offset(batch.right);
    product.out += offset(batch.out);
    // One product per thread: the heads of attention are too small to be shared.
    const Cut cut = CutOf(product, functions, batch.mask);
    std::byte* block = Scratch(kBlockBytes + kStripBytes);
    ForEachBlock(cut, [&](const Range& shared, const Range& terms) {
      PackLanes(cut.shared, shared, terms, {block, functions.element_bytes, terms.count});
      for (int64_t lane = 0; lane < cut.striped.lanes; lane += kStripLanes) {
        MultiplyStrip(cut, shared, {lane, std::min(kStripLanes, cut.striped.lanes - lane)}, terms,
                      block, block + kBlockBytes);
      }
    });
  });
}

}  // namespace wattle::kernels
