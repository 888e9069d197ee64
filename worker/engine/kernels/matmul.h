// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products with a weight matrix of any format, for one row of inputs (a token being decoded) or
// many (a prompt). Formats with codes multiply integers: each row of inputs is quantized to int8 on
// the way, with a scale for each group of columns (kInt8InputGroup where the weights have no
// groups). The kernel is chosen at run time by what the processor can do (instruction_set.h).
//
// With quantized weights the result is the same to the last bit on every processor and for every
// number of threads and input rows, because integer sums are exact and the FP32 steps around them
// are written in one order without fused additions. FP32 and FP16 weights promise a tolerance only.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_MATMUL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_MATMUL_H_

#include <cstdint>

#include "absl/types/span.h"

#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {

// What happens to a sum before it is stored: out = nonlinearity(sum + bias), or with `accumulate`
// out = out + nonlinearity(sum + bias), which is how a residual branch is added.
struct Epilogue {
  Nonlinearity nonlinearity = Nonlinearity::kNone;
  bool accumulate = false;
};

// Rows of inputs as int8. Grows when it has to and is never shrunk, so that a step of the same size
// allocates nothing. Not thread-safe while it is filled.
class QuantizedInputs {
 public:
  // memory: as of AlignedBuffer.
  explicit QuantizedInputs(std::pmr::memory_resource& memory = HugePageHeap()) : memory_(memory) {}

  // Makes room for `count` rows as each of the matrices wants them.
  void Reserve(absl::Span<const WeightMatrix* const> matrices, int64_t count);

  // Rows are from now on as `matrix` wants them; there is room for them.
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

// Where a product goes: [inputs, stride].
struct ProductOutput {
  float* values = nullptr;
  int64_t stride = 0;
};

// What a product with the matrix needs beside its inputs and outputs, for each thread.
[[nodiscard]] int64_t ProductScratchBytes(const WeightMatrix& matrix);

// out[i, r] for the rows r of some panels, on the calling thread. scratch: ProductScratchBytes of
// this thread's own, aligned to 64.
void MultiplyPanels(const KernelTable& kernels, const WeightMatrix& matrix, const InputRows& inputs,
                    const Epilogue& epilogue, PanelRange panels, const ProductOutput& out,
                    void* scratch);

// out[i, r] = Σ_c weight[r, c] inputs[i, c] + bias[r], then the epilogue.
// inputs: [count, columns] row-major; out: [count, rows] row-major.
void MatMul(const WeightMatrix& matrix, const float* inputs, int64_t count,
            const Epilogue& epilogue, float* out, ThreadPool& pool,
            const KernelTable& kernels = BestKernels());

// Chunks into which the panels of a matrix are cut for `threads` threads: the same number for each
// thread where there are enough, and many, so that the threads end together although one is slower.
[[nodiscard]] int64_t PanelChunks(const WeightMatrix& matrix, int threads);

// The panels of one chunk of `chunks`.
[[nodiscard]] PanelRange PanelsOfChunk(const WeightMatrix& matrix, int64_t chunk, int64_t chunks);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_MATMUL_H_
