// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of FP32 matrices whose factors are rounded to 16 bits and whose sums are FP32: what
// training in BF16 or FP16 computes. A factor is rounded to the nearest number, ties to even, on
// its way into the packed panels that the processor multiplies; nothing else is rounded. BF16
// numbers below the smallest normal one count as zero, as the processors' own BF16 units have it.
//
// And products of FP32 factors, of which nothing is rounded, where 16-bit units are faster at them
// than the processor's own FP32 products are (isa/float_amx.cc). Numbers below 2^-126 count as
// zero there, those below 2^-102 may lose their last bits, and a number that is infinite or at
// least (2 - 2^-8) 2^127 makes its sums NaN.
//
// The rounding of factors is the same on every instruction set; the order in which FP32 sums are
// added is not, so results agree within the rounding of such sums. On one instruction set the
// result is the same to the last bit for every number of threads.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_FLOAT_MATMUL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_FLOAT_MATMUL_H_

#include <cstdint>

#include "absl/types/span.h"

#include "worker/engine/kernels/isa/float_kernels.h"
#include "worker/engine/kernels/thread_pool.h"

namespace wattle::kernels {

enum class FactorType : uint8_t { kFloat32, kBf16, kFp16 };

// A matrix in memory: element [i, j] at values[i * row_stride + j * column_stride]. One of the
// strides is 1, so that a matrix and its transpose are both views.
struct FloatMatrix {
  const float* values = nullptr;
  int64_t row_stride = 0;
  int64_t column_stride = 0;
};

// out = initial + left right.
struct FloatProduct {
  FactorType factors = FactorType::kBf16;  // kFloat32: only where HasFloat32Products()
  int64_t rows = 0;
  int64_t terms = 0;
  int64_t columns = 0;
  FloatMatrix left;   // [rows, terms]
  FloatMatrix right;  // [terms, columns]
  // Instead of right.values: BF16 numbers, with the strides of `right`. The result is that of the
  // same numbers in FP32, to the last bit.
  const uint16_t* right_bf16 = nullptr;
  const float* initial = nullptr;  // [rows, initial_stride]; null: zero. May be `out`
  int64_t initial_stride = 0;      // 0: every row is the same, as a bias is
  float* out = nullptr;            // [rows, out_stride], columns side by side
  int64_t out_stride = 0;
};

// The tables that this processor can run, within those of SupportedKernels(); the portable one
// first, the best last. Asked for once: the first call examines the processor.
absl::Span<const FloatKernels* const> SupportedFloatKernels();

// The last of SupportedFloatKernels().
const FloatKernels& BestFloatKernels();

// Whether there are products of FP32 factors, of which nothing is rounded. Where there are none,
// those of libtorch are as fast as ours would be.
bool HasFloat32Products(const FloatKernels& kernels = BestFloatKernels());

// On the pool's threads. Factors are packed into memory that the calling thread keeps: 3 MiB, and
// 768 KiB for each of the pool's threads.
void MultiplyFloats(const FloatProduct& product, ThreadPool& pool,
                    const FloatKernels& kernels = BestFloatKernels());

// What causal attention leaves out of a product: query q sees the keys up to q + diagonal. Queries
// of heads that share keys may stand one below the other, `queries` of each.
struct CausalMask {
  enum class Part : uint8_t {
    kNone,
    kResult,          // rows are queries, columns keys: unseen numbers may be anything
    kLeft,            // rows are queries, terms keys: unseen numbers are zero
    kLeftTransposed,  // rows are keys, terms queries: unseen numbers are zero
  };
  Part part = Part::kNone;
  int64_t queries = 0;
  int64_t diagonal = 0;
};

// Numbers from one matrix of a batch to the next.
struct BatchStrides {
  int64_t outer = 0;
  int64_t inner = 0;
};

// Products of one shape in two dimensions, as sequences and their heads are. Without `initial`.
struct FloatBatch {
  FloatProduct first;
  int64_t outer_count = 1;
  int64_t inner_count = 1;
  BatchStrides left = {};
  BatchStrides right = {};
  BatchStrides out = {};
  CausalMask mask = {};
};

// Each product on one of the pool's threads, each of which keeps such memory.
void MultiplyFloatBatch(const FloatBatch& batch, ThreadPool& pool,
                        const FloatKernels& kernels = BestFloatKernels());

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_FLOAT_MATMUL_H_
