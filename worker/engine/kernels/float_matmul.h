// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Products of FP32 matrices whose factors are rounded to 16 bits and whose sums are FP32: the
// products of training in BF16 or FP16. A factor is rounded to the nearest number, ties to even,
// while it is packed into the panels that the processor multiplies; nothing else is rounded. BF16
// numbers below the smallest normal one count as zero, as in the processors' own BF16 units.
//
// Also products of unrounded FP32 factors, on processors whose 16-bit units compute them faster
// than their FP32 units (isa/float_amx.cc). Numbers below 2^-126 count as zero there, those below
// 2^-102 may lose their last bits, and a number that is infinite or at least (2 - 2^-8) 2^127 makes
// its sums NaN.
//
// Every instruction set rounds factors in the same way but adds FP32 sums in its own order, so
// results agree within the rounding of such sums. On one instruction set the result is the same to
// the last bit for every number of threads.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_FLOAT_MATMUL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_FLOAT_MATMUL_H_

#include <cstdint>

#include "absl/types/span.h"

#include "worker/engine/kernels/isa/float_kernels.h"
#include "worker/engine/kernels/thread_pool.h"

namespace wattle::kernels {

enum class FactorType : uint8_t { kFloat32, kBf16, kFp16 };

// A matrix in memory: element [i, j] at values[i * row_stride + j * column_stride]. One of the
// strides must be 1, so that a matrix and its transpose are both views.
struct FloatMatrix {
  const float* values = nullptr;
  int64_t row_stride = 0;
  int64_t column_stride = 0;
};

// out = initial + left right.
struct FloatProduct {
  FactorType factors = FactorType::kBf16;  // kFloat32: only if HasFloat32Products()
  int64_t rows = 0;
  int64_t terms = 0;
  int64_t columns = 0;
  FloatMatrix left;   // [rows, terms]
  FloatMatrix right;  // [terms, columns]
  // Replaces right.values: BF16 numbers, with the strides of `right`. The result equals that of the
  // same numbers in FP32, to the last bit.
  const uint16_t* right_bf16 = nullptr;
  const float* initial = nullptr;  // [rows, initial_stride]; null: zero. May equal `out`
  int64_t initial_stride = 0;      // 0: all rows are the same, as for a bias
  float* out = nullptr;            // [rows, out_stride], contiguous columns
  int64_t out_stride = 0;
};

// The tables that this processor can run, the portable one first, the best last. The processor is
// queried once, in the first call.
absl::Span<const FloatKernels* const> SupportedFloatKernels();

// The last of SupportedFloatKernels().
const FloatKernels& BestFloatKernels();

// Whether products of unrounded FP32 factors exist. If not, libtorch's are as fast as ours would
// be.
bool HasFloat32Products(const FloatKernels& kernels = BestFloatKernels());

// Runs on the pool's threads. Factors are packed into memory that the calling thread keeps: 3 MiB,
// and 768 KiB for each of the pool's threads.
void MultiplyFloats(const FloatProduct& product, ThreadPool& pool,
                    const FloatKernels& kernels = BestFloatKernels());

// The part of a product that causal attention leaves out: query q sees the keys up to q + diagonal.
// Queries of heads that share keys may be stacked, `queries` rows for each head.
struct CausalMask {
  enum class Part : uint8_t {
    kNone,
    kResult,          // rows are queries, columns keys: unseen results are unspecified
    kLeft,            // rows are queries, terms keys: unseen numbers are zero
    kLeftTransposed,  // rows are keys, terms queries: unseen numbers are zero
  };
  Part part = Part::kNone;
  int64_t queries = 0;
  int64_t diagonal = 0;
};

// Distance in numbers from one matrix of a batch to the next.
struct BatchStrides {
  int64_t outer = 0;
  int64_t inner = 0;
};

// Products of one shape in two dimensions, such as sequences and their heads. `initial` must not be
// set.
struct FloatBatch {
  FloatProduct first;
  int64_t outer_count = 1;
  int64_t inner_count = 1;
  BatchStrides left = {};
  BatchStrides right = {};
  BatchStrides out = {};
  CausalMask mask = {};
};

// Runs each product on one of the pool's threads, each of which keeps packing memory.
void MultiplyFloatBatch(const FloatBatch& batch, ThreadPool& pool,
                        const FloatKernels& kernels = BestFloatKernels());

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_FLOAT_MATMUL_H_
