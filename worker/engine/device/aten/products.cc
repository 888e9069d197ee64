// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

// The type of the factors is that of the result.
at::Tensor RoundedTo(FactorType factors, const at::Tensor& x) {
  return x.to(factors == FactorType::kBf16 ? at::kBFloat16 : at::kHalf);
}

}  // namespace

at::Tensor AtenDevice::Product(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                               const at::Tensor& bias) const {
  if (factors == FactorType::kFloat32) {
    return bias.defined() ? at::addmm(bias, left, right) : at::mm(left, right);
  }
  const at::Tensor out = at::mm(RoundedTo(factors, left), RoundedTo(factors, right)).to(at::kFloat);
  return bias.defined() ? out.add_(bias) : out;
}

void AtenDevice::ProductInto(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                             const at::Tensor& out) const {
  at::Tensor written = out;
  if (factors == FactorType::kFloat32) {
    at::mm_out(written, left, right);
  } else {
    written.copy_(at::mm(RoundedTo(factors, left), RoundedTo(factors, right)));
  }
}

void AtenDevice::AddProduct(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                            const at::Tensor& out) const {
  if (factors == FactorType::kFloat32) {
    out.addmm_(left, right);
  } else {
    out.add_(at::mm(RoundedTo(factors, left), RoundedTo(factors, right)));
  }
}

// Sequence by sequence: libtorch multiplies the heads of one where they lie, and would copy those
// of several.
void AtenDevice::BatchProductInto(FactorType factors, const at::Tensor& left,
                                  const at::Tensor& right, const kernels::CausalMask& /*mask*/,
                                  const at::Tensor& out) const {
  for (int64_t sequence = 0; sequence < left.size(0); ++sequence) {
    at::Tensor written = out[sequence];
    if (factors == FactorType::kFloat32) {
      at::bmm_out(written, left[sequence], right[sequence]);
    } else {
      written.copy_(
          at::bmm(RoundedTo(factors, left[sequence]), RoundedTo(factors, right[sequence])));
    }
  }
}

}  // namespace wattle::engine
