// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The functions behind the products of FP32 matrices (float_matmul.h), one table for each
// instruction set with code of its own. Included by files that are compiled with the flags of one
// instruction set, so only <cstdint> may be included here and no function may be defined.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_KERNELS_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_KERNELS_H_

#include <cstdint>

namespace wattle::kernels {

// A panel is sixteen rows of the left factor or sixteen columns of the right one: its lanes.
inline constexpr int64_t kFloatLanes = 16;
inline constexpr int64_t kFloatTermMultiple = 32;

// One panel to pack: lane i has the terms values[i * lane_stride + t * term_stride], and one of the
// strides is 1. Lanes from `lanes` to 16, and terms from `terms` to the next multiple of 32, become
// zero.
struct FloatPanel {
  const float* values = nullptr;
  int64_t lane_stride = 0;
  int64_t term_stride = 0;
  int64_t lanes = 0;
  int64_t terms = 0;
  void* packed = nullptr;  // aligned to 64; element_bytes * 16 * terms rounded up to 32
};

// The part of a product that 32 rows need: terms [first_term, end_term), both multiples of 32 and
// at least 32 terms, and the columns below end_column. The other terms are zeros that need not be
// packed, and the other columns of the result are not read.
inline constexpr int64_t kRowsOfNeed = 32;
struct RowsNeed {
  int64_t first_term;
  int64_t end_term;
  int64_t end_column;
};

// out[i, j] = initial + Σ_t left[i, t] right[t, j] for some rows i and columns j.
struct FloatStrip {
  const void* left = nullptr;   // packed panels, one after the other
  const void* right = nullptr;  // packed panels of the columns
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t terms = 0;               // a multiple of 32
  const float* initial = nullptr;  // element [i, j] at i * initial_stride + j; null: zero
  int64_t initial_stride = 0;      // 0: all rows are the same
  float* out = nullptr;            // [rows, out_stride]; may equal `initial`
  int64_t out_stride = 0;
  // One for each 32 rows, if there are at least as many rows as columns; null: all is needed.
  const RowsNeed* needs = nullptr;
};

// The functions for one type of factors.
struct FloatFunctions {
  int64_t element_bytes;  // bytes of a packed number
  void (*pack_left)(const FloatPanel& panel);
  void (*pack_right)(const FloatPanel& panel);
  void (*multiply)(const FloatStrip& strip);
  bool reads_needs;  // false: multiply processes all terms and columns, so all are packed
};

struct FloatKernels {
  const char* name;
  // For unrounded FP32 factors. multiply is null if the instruction set has no way that is faster
  // than libtorch's FP32 products.
  FloatFunctions float32;
  FloatFunctions bf16;
  FloatFunctions fp16;
};

// The tables, each defined in the file of its name. Only the target architecture's tables are
// built.
const FloatKernels& PortableFloatKernels();
const FloatKernels& Avx2FloatKernels();
const FloatKernels& Avx512FloatKernels();
const FloatKernels& Avx512Bf16FloatKernels();
const FloatKernels& AmxFloatKernels();
const FloatKernels& NeonFloatKernels();

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_FLOAT_KERNELS_H_
