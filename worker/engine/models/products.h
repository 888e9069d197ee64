// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The matrix products of training, and how they round their factors. FP32 factors are multiplied
// unrounded: by our kernels on a CPU whose matrix unit is faster than its FP32 products
// (kernels/float_matmul.h), elsewhere by libtorch. In a FactorScope the factors are rounded to BF16
// or FP16 and the sums stay FP32: on the CPU by our kernels, elsewhere by libtorch with factors of
// that type, whose results are rounded to it too.
#ifndef WATTLE_WORKER_ENGINE_MODELS_PRODUCTS_H_
#define WATTLE_WORKER_ENGINE_MODELS_PRODUCTS_H_

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/float_matmul.h"

namespace wattle::engine {

// The type to which the calling thread's products round their factors. FP32, outside of every
// scope: no rounding.
[[nodiscard]] kernels::FactorType FactorsOfThread();

// Sets the type for the products of this thread until the scope ends.
class FactorScope {
 public:
  explicit FactorScope(kernels::FactorType factors);
  ~FactorScope();
  FactorScope(const FactorScope&) = delete;
  FactorScope& operator=(const FactorScope&) = delete;

 private:
  kernels::FactorType outer_;
};

// Whether a GPU may round the factors of FP32 products to TF32, until the scope ends. For the whole
// process; no effect on a device without such products.
class Tf32Scope {
 public:
  explicit Tf32Scope(bool allowed);
  ~Tf32Scope();
  Tf32Scope(const Tf32Scope&) = delete;
  Tf32Scope& operator=(const Tf32Scope&) = delete;

 private:
  bool outer_;
};

// The type of rounded factors; kFloat if nothing is rounded.
[[nodiscard]] at::ScalarType TypeOf(kernels::FactorType factors);

// The operand to use if several of this thread's products read x: x rounded once, on a device that
// rounds factors before a product, else x itself. x: [rows, columns] or [sequences, heads, rows,
// columns].
at::Tensor Factor(const at::Tensor& x);

// float [rows, terms] times float [terms, columns] (+ bias [columns] if it is defined). Factors may
// be transposed views. In a FactorScope on the CPU `right` may be bfloat16: the result equals that
// with its float copy.
at::Tensor Product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& bias = {});

// Writes left right to out: float [rows, columns], with contiguous columns.
void ProductInto(const at::Tensor& left, const at::Tensor& right, const at::Tensor& out);

// Adds left right to out: float [rows, columns], with contiguous columns.
void AddProduct(const at::Tensor& left, const at::Tensor& right, const at::Tensor& out);

// For each of sequences and heads: float [sequences, heads, rows, terms] times float [sequences,
// heads, terms, columns]. mask: the part that need not be computed.
at::Tensor BatchProduct(const at::Tensor& left, const at::Tensor& right,
                        const kernels::CausalMask& mask = {});

// Writes these products to out: float [sequences, heads, rows, columns], with contiguous columns.
void BatchProductInto(const at::Tensor& left, const at::Tensor& right,
                      const kernels::CausalMask& mask, const at::Tensor& out);

// Factors rounded by libtorch, and FP32 sums: the same result as Product on the CPU.
at::Tensor RoundedProductPlain(kernels::FactorType factors, const at::Tensor& left,
                               const at::Tensor& right);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_PRODUCTS_H_
