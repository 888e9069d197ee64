// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/products.h"

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/torch_operators.h"
#include "worker/engine/torch_version.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

// A GPU's fast products of two-byte factors read 16 bytes at a time; multiples of this fill their
// tiles.
constexpr int64_t kWholeRows = 64;

at::Tensor RoundedTo(FactorType factors, const at::Tensor& x) {
  return x.to(TypeOf(factors));
}

// Whether a product of these factors can return its sums as floats.
bool HasFloatSums(const at::Tensor& factor) {
  return kGpuHasFloatSums && factor.is_cuda() && factor.scalar_type() != at::kFloat;
}

// Floats, or on most devices the type of the factors.
at::Tensor Multiply(const at::Tensor& left, const at::Tensor& right) {
  if (!HasFloatSums(left)) {
    return at::mm(left, right);
  }
  at::Tensor out = at::empty({left.size(0), right.size(1)}, left.options().dtype(at::kFloat));
  FloatSumsInto(left, right, out);
  return out;
}

// out: floats, as in the functions below.
void MultiplyInto(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  if (HasFloatSums(left)) {
    FloatSumsInto(left, right, out);
  } else if (left.scalar_type() == at::kFloat) {
    at::mm_out(out, left, right);
  } else {
    out.copy_(at::mm(left, right));
  }
}

void AddMultiplied(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  if (HasFloatSums(left)) {
    AddFloatSums(left, right, out);
  } else if (left.scalar_type() == at::kFloat) {
    out.addmm_(left, right);
  } else {
    out.add_(at::mm(left, right));
  }
}

// left, right: [matrices, ...].
void MultiplyEachInto(const at::Tensor& left, const at::Tensor& right, at::Tensor& out) {
  if (HasFloatSums(left)) {
    FloatSumsOfEachInto(left, right, out);
  } else if (left.scalar_type() == at::kFloat) {
    at::bmm_out(out, left, right);
  } else {
    out.copy_(at::bmm(left, right));
  }
}

// x: [sequences, heads, rows, columns], rounded, each matrix dense.
at::Tensor Dense(FactorType factors, const at::Tensor& x) {
  const at::ScalarType type = TypeOf(factors);
  return x.is_contiguous() && x.scalar_type() == type
             ? x
             : at::empty(x.sizes(), x.options().dtype(type)).copy_(x);
}

// x or its transpose as [sequences * heads, rows, columns]: libtorch's batched product reads both.
at::Tensor Stacked(FactorType factors, const at::Tensor& x) {
  if (x.size(0) == 1 && x.scalar_type() == TypeOf(factors)) {
    return x[0];  // also a view of the cache, whose heads are not adjacent
  }
  const bool transposed = x.stride(2) == 1 && x.stride(3) != 1;
  const at::Tensor dense = Dense(factors, transposed ? x.transpose(2, 3) : x);
  const at::Tensor stacked = dense.view({-1, dense.size(2), dense.size(3)});
  return transposed ? stacked.transpose(1, 2) : stacked;
}

}  // namespace

at::Tensor AtenDevice::Factor(FactorType factors, const at::Tensor& x) const {
  return x.dim() == 4 ? Dense(factors, x) : RoundedTo(factors, x);
}

int64_t AtenDevice::PaddedRows(FactorType factors, int64_t rows) const {
  return factors == FactorType::kFloat32 ? rows : (rows + kWholeRows - 1) / kWholeRows * kWholeRows;
}

at::Tensor AtenDevice::Product(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                               const at::Tensor& bias) const {
  if (factors == FactorType::kFloat32) {
    return bias.defined() ? at::addmm(bias, left, right) : at::mm(left, right);
  }
  const at::Tensor out =
      Multiply(RoundedTo(factors, left), RoundedTo(factors, right)).to(at::kFloat);
  return bias.defined() ? out.add_(bias) : out;
}

void AtenDevice::ProductInto(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                             const at::Tensor& out) const {
  at::Tensor written = out;
  MultiplyInto(RoundedTo(factors, left), RoundedTo(factors, right), written);
}

void AtenDevice::AddProduct(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                            const at::Tensor& out) const {
  at::Tensor written = out;
  AddMultiplied(RoundedTo(factors, left), RoundedTo(factors, right), written);
}

void AtenDevice::BatchProductInto(FactorType factors, const at::Tensor& left,
                                  const at::Tensor& right, const kernels::CausalMask& /*mask*/,
                                  const at::Tensor& out) const {
  const at::Tensor stacked_left = Stacked(factors, left);
  const at::Tensor stacked_right = Stacked(factors, right);
  if (out.is_contiguous() || out.size(0) == 1) {
    at::Tensor written = out.size(0) == 1 ? out[0] : out.view({-1, out.size(2), out.size(3)});
    MultiplyEachInto(stacked_left, stacked_right, written);
    return;
  }
  at::Tensor written = at::empty({stacked_left.size(0), out.size(2), out.size(3)}, out.options());
  MultiplyEachInto(stacked_left, stacked_right, written);
  out.copy_(written.view(out.sizes()));
}

}  // namespace wattle::engine
