// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/products.h"

#include "base/check.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;

thread_local FactorType factors_of_thread = FactorType::kFloat32;

at::ScalarType TypeOf(FactorType factors) {
  return factors == FactorType::kBf16 ? at::kBFloat16 : at::kHalf;
}

// The last two dimensions of x. What has a size of 1 has no stride to keep.
kernels::FloatMatrix MatrixOf(const at::Tensor& x) {
  return {.values = x.scalar_type() == at::kFloat ? x.data_ptr<float>() : nullptr,
          .row_stride = x.size(-2) == 1 ? 1 : x.stride(-2),
          .column_stride = x.size(-1) == 1 ? 1 : x.stride(-1)};
}

// x itself, or a copy whose columns lie side by side.
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

// Of the first two dimensions of x.
kernels::BatchStrides BatchStridesOf(const at::Tensor& x) {
  return {.outer = x.stride(0), .inner = x.stride(1)};
}

// Whether our kernels multiply what x is a factor of: on the CPU, factors that are rounded, and
// FP32 factors where the processor has a way that is faster than libtorch's.
bool OurKernelsMultiply(FactorType factors, const at::Tensor& x) {
  return x.device().is_cpu() && (factors != FactorType::kFloat32 || kernels::HasFloat32Products());
}

// out = initial + left right by our kernels. initial: the first number of rows that are
// initial_stride apart; null: zero. The columns of out lie side by side.
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

// On a device: the type of the factors is that of the result.
at::Tensor Rounded(FactorType factors, const at::Tensor& x) {
  return x.to(TypeOf(factors));
}

// Sequence by sequence: libtorch multiplies the heads of one where they lie, and would copy those
// of several.
void BatchProductByLibtorch(FactorType factors, const at::Tensor& left, const at::Tensor& right,
                            const at::Tensor& out) {
  for (int64_t sequence = 0; sequence < left.size(0); ++sequence) {
    at::Tensor written = out[sequence];
    if (factors == FactorType::kFloat32) {
      at::bmm_out(written, left[sequence], right[sequence]);
    } else {
      written.copy_(at::bmm(Rounded(factors, left[sequence]), Rounded(factors, right[sequence])));
    }
  }
}

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

at::Tensor Product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& bias) {
  const FactorType factors = factors_of_thread;
  if (!OurKernelsMultiply(factors, left)) {
    if (factors == FactorType::kFloat32) {
      return bias.defined() ? at::addmm(bias, left, right) : at::mm(left, right);
    }
    const at::Tensor out = at::mm(Rounded(factors, left), Rounded(factors, right)).to(at::kFloat);
    return bias.defined() ? out.add_(bias) : out;
  }
  at::Tensor out = at::empty({left.size(0), right.size(1)}, left.options());
  MultiplyByOurKernels(factors, left, right, bias.defined() ? bias.data_ptr<float>() : nullptr, 0,
                       out);
  return out;
}

void ProductInto(const at::Tensor& left, const at::Tensor& right, const at::Tensor& out) {
  const FactorType factors = factors_of_thread;
  if (OurKernelsMultiply(factors, left)) {
    MultiplyByOurKernels(factors, left, right, nullptr, 0, out);
    return;
  }
  at::Tensor written = out;
  if (factors == FactorType::kFloat32) {
    at::mm_out(written, left, right);
  } else {
    written.copy_(at::mm(Rounded(factors, left), Rounded(factors, right)));
  }
}

void AddProduct(const at::Tensor& left, const at::Tensor& right, const at::Tensor& out) {
  const FactorType factors = factors_of_thread;
  if (OurKernelsMultiply(factors, left)) {
    MultiplyByOurKernels(factors, left, right, out.data_ptr<float>(), out.stride(0), out);
  } else if (factors == FactorType::kFloat32) {
    out.addmm_(left, right);
  } else {
    out.add_(at::mm(Rounded(factors, left), Rounded(factors, right)));
  }
}

at::Tensor BatchProduct(const at::Tensor& left, const at::Tensor& right,
                        const kernels::CausalMask& mask) {
  at::Tensor out =
      at::empty({left.size(0), left.size(1), left.size(2), right.size(3)}, left.options());
  BatchProductInto(left, right, mask, out);
  return out;
}

void BatchProductInto(const at::Tensor& left, const at::Tensor& right,
                      const kernels::CausalMask& mask, const at::Tensor& out) {
  const FactorType factors = factors_of_thread;
  if (!OurKernelsMultiply(factors, left)) {
    BatchProductByLibtorch(factors, left, right, out);
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

at::Tensor RoundedProductPlain(FactorType factors, const at::Tensor& left,
                               const at::Tensor& right) {
  return at::mm(Rounded(factors, left).to(at::kFloat), Rounded(factors, right).to(at::kFloat));
}

}  // namespace wattle::engine
