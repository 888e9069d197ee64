// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

// The last two dimensions of x. A dimension of size 1 has no meaningful stride.
kernels::FloatMatrix MatrixOf(const at::Tensor& x) {
  return {.values = x.scalar_type() == at::kFloat ? x.data_ptr<float>() : nullptr,
          .row_stride = x.size(-2) == 1 ? 1 : x.stride(-2),
          .column_stride = x.size(-1) == 1 ? 1 : x.stride(-1)};
}

// x itself, or a copy with contiguous columns.
at::Tensor WithRowsOrColumnsTogether(const at::Tensor& x) {
  const kernels::FloatMatrix matrix = MatrixOf(x);
  return matrix.row_stride == 1 || matrix.column_stride == 1 ? x : x.contiguous();
}

kernels::FloatProduct Describe(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                               const at::Tensor& out) {
  return {.factors = factors,
          .rows = left.size(-2),
          .terms = left.size(-1),
          .columns = right.size(-1),
          .left = MatrixOf(left),
          .right = MatrixOf(right),
          .right_bf16 = right.scalar_type() == at::kBFloat16
                            ? static_cast<const uint16_t*>(right.data_ptr())
                            : nullptr,
          .out = out.data_ptr<float>(),
          .out_stride = out.stride(-2)};
}

void CheckColumnsTogether(const at::Tensor& out) {
  WATTLE_CHECK(out.stride(-1) == 1 || out.size(-1) == 1, "columns of a product lie side by side");
}

// Strides of the first two dimensions of x.
kernels::BatchStrides BatchStridesOf(const at::Tensor& x) {
  return {.outer = x.stride(0), .inner = x.stride(1)};
}

// Whether our kernels multiply: for rounded factors, and for FP32 factors if the processor has a
// way that is faster than libtorch's.
bool OurKernelsMultiply(FactorType factors) {
  return factors != FactorType::kFloat32 || kernels::HasFloat32Products();
}

// out = initial + left right, with our kernels. initial: first number of rows that are
// initial_stride apart; null: zero. out has contiguous columns.
void MultiplyByOurKernels(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                          const float* initial, int64_t initial_stride, const at::Tensor& out) {
  CheckColumnsTogether(out);
  const at::Tensor own_left = WithRowsOrColumnsTogether(left);
  const at::Tensor own_right = WithRowsOrColumnsTogether(right);
  kernels::FloatProduct product = Describe(factors, own_left, own_right, out);
  product.initial = initial;
  product.initial_stride = initial_stride;
  kernels::MultiplyFloats(product, KernelThreads());
}

}  // namespace

at::Tensor CpuDevice::Factor(kernels::FactorType /*factors*/, const at::Tensor& x) const {
  return x;  // rounded while the operand is packed into panels
}

int64_t CpuDevice::PaddedRows(kernels::FactorType /*factors*/, int64_t rows) const {
  return rows;
}

at::Tensor CpuDevice::Product(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                              const at::Tensor& bias) const {
  if (!OurKernelsMultiply(factors)) {
    return AtenOperations().Product(factors, left, right, bias);
  }
  at::Tensor out = at::empty({left.size(0), right.size(1)}, left.options());
  MultiplyByOurKernels(factors, left, right, bias.defined() ? bias.data_ptr<float>() : nullptr, 0,
                       out);
  return out;
}

void CpuDevice::ProductInto(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                            const at::Tensor& out) const {
  if (OurKernelsMultiply(factors)) {
    MultiplyByOurKernels(factors, left, right, nullptr, 0, out);
  } else {
    AtenOperations().ProductInto(factors, left, right, out);
  }
}

void CpuDevice::AddProduct(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                           const at::Tensor& out) const {
  if (OurKernelsMultiply(factors)) {
    MultiplyByOurKernels(factors, left, right, out.data_ptr<float>(), out.stride(0), out);
  } else {
    AtenOperations().AddProduct(factors, left, right, out);
  }
}

void CpuDevice::BatchProductInto(FactorType factors, const at::Tensor& left,
                                 const at::Tensor& right, const kernels::CausalMask& mask,
                                 const at::Tensor& out) const {
  if (!OurKernelsMultiply(factors)) {
    // Sequence by sequence: libtorch multiplies the heads of one sequence in place, and would copy
    // those of several.
    for (int64_t i = 0; i < left.size(0); ++i) {
      AtenOperations().BatchProductInto(factors, left.narrow(0, i, 1), right.narrow(0, i, 1), mask,
                                        out.narrow(0, i, 1));
    }
    return;
  }
  CheckColumnsTogether(out);
  const at::Tensor own_left = WithRowsOrColumnsTogether(left);
  const at::Tensor own_right = WithRowsOrColumnsTogether(right);
  kernels::MultiplyFloatBatch({.first = Describe(factors, own_left, own_right, out),
                               .outer_count = left.size(0),
                               .inner_count = left.size(1),
                               .left = BatchStridesOf(own_left),
                               .right = BatchStridesOf(own_right),
                               .out = BatchStridesOf(out),
                               .mask = mask},
                              KernelThreads());
}

}  // namespace wattle::engine
