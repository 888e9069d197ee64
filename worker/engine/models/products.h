// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The matrix products of training, and what they do with their factors. FP32 factors are multiplied
// as they are: by our kernels on a CPU whose matrix unit is faster than FP32 products are
// (kernels/float_matmul.h), elsewhere by libtorch. In a FactorScope the factors are rounded to
// BF16 or FP16 and the sums stay FP32: on the CPU by our kernels, elsewhere by libtorch with
// factors of that type, whose results are rounded to it too.
#ifndef WATTLE_WORKER_ENGINE_MODELS_PRODUCTS_H_
#define WATTLE_WORKER_ENGINE_MODELS_PRODUCTS_H_

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/float_matmul.h"

namespace wattle::engine {

// What the calling thread's products round their factors to. FP32, outside of every scope: nothing.
[[nodiscard]] kernels::FactorType FactorsOfThread();

// Says so for the products that this thread makes until the scope ends.
class FactorScope {
 public:
  explicit FactorScope(kernels::FactorType factors);
  ~FactorScope();
  FactorScope(const FactorScope&) = delete;
  FactorScope& operator=(const FactorScope&) = delete;

 private:
  kernels::FactorType outer_;
};

// Whether a GPU may round the factors of FP32 products to TF32, until the scope ends. Of the whole
// process; a device without such products computes as ever.
class Tf32Scope {
 public:
  explicit Tf32Scope(bool allowed);
  ~Tf32Scope();
  Tf32Scope(const Tf32Scope&) = delete;
  Tf32Scope& operator=(const Tf32Scope&) = delete;

 private:
  bool outer_;
};

// The type of rounded factors; kFloat where nothing is rounded.
[[nodiscard]] at::ScalarType TypeOf(kernels::FactorType factors);

// What products of this thread are to read in place of x, where several read it: a device that
// rounds factors before a product rounds this one once. x: [rows, columns] or [sequences, heads,
// rows, columns].
at::Tensor Factor(const at::Tensor& x);

// float [rows, terms] times float [terms, columns] (+ bias [columns] where it is defined). Factors
// may be transposed views. In a FactorScope on the CPU `right` may be bfloat16: the result is that
// of its float copy.
at::Tensor Product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& bias = {});

// Writes left right to out: float [rows, columns], whose columns lie side by side.
void ProductInto(const at::Tensor& left, const at::Tensor& right, const at::Tensor& out);

// Adds left right to out: float [rows, columns], whose columns lie side by side.
void AddProduct(const at::Tensor& left, const at::Tensor& right, const at::Tensor& out);

// Each of sequences and heads: float [sequences, heads, rows, terms] times float [sequences, heads,
// terms, columns]. mask: what need not be computed.
at::Tensor BatchProduct(const at::Tensor& left, const at::Tensor& right,
                        const kernels::CausalMask& mask = {});

// Writes these products to out: float [sequences, heads, rows, columns], whose columns lie side by
// side.
void BatchProductInto(const at::Tensor& left, const at::Tensor& right,
                      const kernels::CausalMask& mask, const at::Tensor& out);

// The same with factors rounded by libtorch, and FP32 sums: what Product computes on the CPU.
at::Tensor RoundedProductPlain(kernels::FactorType factors, const at::Tensor& left,
                               const at::Tensor& right);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_PRODUCTS_H_
