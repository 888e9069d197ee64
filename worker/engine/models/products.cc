// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/products.h"

#include <ATen/Context.h>

#include "worker/engine/device/device.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

thread_local FactorType factors_of_thread = FactorType::kFloat32;

}  // namespace

FactorType FactorsOfThread() {
  return factors_of_thread;
}

FactorScope::FactorScope(FactorType factors) : outer_(factors_of_thread) {
  factors_of_thread = factors;
}

FactorScope::~FactorScope() {
  factors_of_thread = outer_;
}

Tf32Scope::Tf32Scope(bool allowed) : outer_(at::globalContext().allowTF32CuBLAS()) {
  at::globalContext().setAllowTF32CuBLAS(allowed);
}

Tf32Scope::~Tf32Scope() {
  at::globalContext().setAllowTF32CuBLAS(outer_);
}

at::ScalarType TypeOf(FactorType factors) {
  switch (factors) {
    case FactorType::kBf16:
      return at::kBFloat16;
    case FactorType::kFp16:
      return at::kHalf;
    case FactorType::kFloat32:
      break;
  }
  return at::kFloat;
}

at::Tensor Factor(const at::Tensor& x) {
  return OperationsOn(x).Factor(factors_of_thread, x);
}

at::Tensor Product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& bias) {
  return OperationsOn(left).Product(factors_of_thread, left, right, bias);
}

void ProductInto(const at::Tensor& left, const at::Tensor& right, const at::Tensor& out) {
  OperationsOn(left).ProductInto(factors_of_thread, left, right, out);
}

void AddProduct(const at::Tensor& left, const at::Tensor& right, const at::Tensor& out) {
  OperationsOn(left).AddProduct(factors_of_thread, left, right, out);
}

at::Tensor BatchProduct(const at::Tensor& left, const at::Tensor& right,
                        const kernels::CausalMask& mask) {
  at::Tensor out = at::empty({left.size(0), left.size(1), left.size(2), right.size(3)},
                             left.options().dtype(at::kFloat));
  BatchProductInto(left, right, mask, out);
  return out;
}

void BatchProductInto(const at::Tensor& left, const at::Tensor& right,
                      const kernels::CausalMask& mask, const at::Tensor& out) {
  OperationsOn(left).BatchProductInto(factors_of_thread, left, right, mask, out);
}

at::Tensor RoundedProductPlain(FactorType factors, const at::Tensor& left,
                               const at::Tensor& right) {
  const at::ScalarType type = TypeOf(factors);
  return at::mm(left.to(type).to(at::kFloat), right.to(type).to(at::kFloat));
}

}  // namespace wattle::engine
