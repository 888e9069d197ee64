// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products with a weight matrix of any format, for one row of inputs (a token being decoded) or
// many (a prompt). Formats with codes multiply integers: each row of inputs is first quantized to
// int8, with one scale per group of columns (kInt8InputGroup if the weights have no groups). The
// kernel is chosen at run time for the processor (instruction_set.h).
//
// With quantized weights the result is the same to the last bit on every processor and for every
// number of threads and input rows, because integer sums are exact and the FP32 steps around them
// have a fixed order without fused additions. FP32 and FP16 weights guarantee only a tolerance.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_MATMUL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_MATMUL_H_

#include <cstdint>

#include "absl/types/span.h"

#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {

// The last steps of a sum before it is stored: out = nonlinearity(sum + bias), or with `accumulate`
// out = out + nonlinearity(sum + bias), which adds a residual branch.
struct Epilogue {
  Nonlinearity nonlinearity = Nonlinearity::kNone;
  bool accumulate = false;
};

// Rows of inputs as int8. Grows on demand and never shrinks, so that a step of the same size does
// not allocate. Not thread-safe while it is filled.
class QuantizedInputs {
 public:
  // memory: source of the bytes (AlignedBuffer).
  explicit QuantizedInputs(std::pmr::memory_resource& memory = HugePageHeap()) : memory_(memory) {}

  // Makes room for `count` rows in the form of each of the matrices.
  void Reserve(absl::Span<const WeightMatrix* const> matrices, int64_t count);

  // Selects the form of `matrix` for the rows; there must be room for them.
  void Begin(const WeightMatrix& matrix);

  // Fills row `row` (below `count`) from values [matrix.columns]. Different rows may be filled by
  // different threads.
  void Fill(const KernelTable& kernels, int64_t row, const float* values);

  [[nodiscard]] InputRows View(int64_t count);

 private:
  std::pmr::memory_resource& memory_;
  int64_t columns_ = 0;
  int64_t group_ = 0;
  int64_t groups_ = 0;
  int64_t code_stride_ = 0;
  AlignedBuffer codes_;   // int8 [count and one tile of rows, code_stride_]
  AlignedBuffer scales_;  // float [count, groups_]
  AlignedBuffer sums_;    // int32 [count, groups_]
};

// Whether products with this format read codes of the inputs (QuantizedInputs) or FP32 values.
[[nodiscard]] bool WantsCodes(WeightScheme scheme);

// Rows of a matrix in panels [first, end).
struct PanelRange {
  int64_t first = 0;
  int64_t end = 0;
};

// The destination of a product: [inputs, stride].
struct ProductOutput {
  float* values = nullptr;
  int64_t stride = 0;
};

// Scratch of a product with the matrix for each thread, besides inputs and outputs.
[[nodiscard]] int64_t ProductScratchBytes(const WeightMatrix& matrix);

// out[i, r] for the rows r of some panels, on the calling thread. scratch: ProductScratchBytes for
// this thread, aligned to 64.
void MultiplyPanels(const KernelTable& kernels, const WeightMatrix& matrix, const InputRows& inputs,
                    const Epilogue& epilogue, PanelRange panels, const ProductOutput& out,
                    void* scratch);

// out[i, r] = Σ_c weight[r, c] inputs[i, c] + bias[r], then the epilogue.
// inputs: [count, columns] row-major; out: [count, rows] row-major.
void MatMul(const WeightMatrix& matrix, const float* inputs, int64_t count,
            const Epilogue& epilogue, float* out, ThreadPool& pool,
            const KernelTable& kernels = BestKernels());

// Number of chunks into which the panels of a matrix are cut for `threads` threads: a multiple of
// the threads if there are enough panels, and many, so that the threads end together even if one is
// slower.
[[nodiscard]] int64_t PanelChunks(const WeightMatrix& matrix, int threads);

// The panels of one chunk of `chunks`.
[[nodiscard]] PanelRange PanelsOfChunk(const WeightMatrix& matrix, int64_t chunk, int64_t chunks);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_MATMUL_H_
