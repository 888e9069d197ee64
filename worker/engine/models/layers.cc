// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/layers.h"

#include <tuple>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "base/check.h"
#include "worker/engine/kernels/int8.h"

namespace wattle::engine {
namespace {

// Elements of one piece of parallel dropout; a multiple of the generator's block.
constexpr int64_t kDropoutGrain = 1 << 15;
// Up to this many rows the int8 kernel reads the codes once for all rows; beyond it a dequantized
// product is faster.
constexpr int64_t kInt8KernelRows = 4;

kernels::RandomStream StreamOf(const DropoutState& state, kernels::RandomUse use, int64_t layer) {
  return {
      .seed = state.seed, .step = state.counter, .use = use, .layer = static_cast<uint32_t>(layer)};
}

// Our kernels work on memory of the host: elsewhere the mask is drawn there and sent over.
template <typename Kernel>
void OnHost(at::Tensor& x, Kernel kernel) {
  WATTLE_CHECK(x.is_contiguous(), "dropout counts elements in memory order");
  if (x.device().is_cpu()) {
    kernel(x.data_ptr<float>());
    return;
  }
  at::Tensor mask = at::ones(x.sizes(), at::kFloat);
  kernel(mask.data_ptr<float>());
  x.mul_(mask.to(x.device()));
}

at::Tensor Int8Product(const at::Tensor& codes, const at::Tensor& scales, const at::Tensor& x,
                       const at::Tensor& bias) {
  if (!x.device().is_cpu() || x.size(0) > kInt8KernelRows) {
    return Int8ProductPlain(codes, scales, x, bias);
  }
  const at::Tensor inputs = x.contiguous();
  at::Tensor out = at::empty({inputs.size(0), codes.size(0)}, inputs.options());
  const int64_t columns = codes.size(1);
  const int64_t rows_total = codes.size(0);
  const float* bias_data = bias.defined() ? bias.data_ptr<float>() : nullptr;
  const kernels::Int8Matrix matrix{codes.data_ptr<int8_t>(), scales.data_ptr<float>(), rows_total,
                                   columns};
  kernels::Int8MatMul(matrix, inputs.data_ptr<float>(), inputs.size(0), bias_data,
                      out.data_ptr<float>());
  return out;
}

}  // namespace

void DropInPlace(const DropoutState& state, kernels::RandomUse use, int64_t layer, double rate,
                 at::Tensor& x) {
  if (!state.active || rate == 0.0) {
    return;
  }
  const kernels::RandomStream stream = StreamOf(state, use, layer);
  OnHost(x, [&](float* values) {
    at::parallel_for(0, x.numel(), kDropoutGrain, [&](int64_t begin, int64_t end) {
      kernels::ApplyDropout(stream, rate, begin, end - begin, values + begin);
    });
  });
}

void DropCausalInPlace(const DropoutState& state, int64_t layer, double rate, at::Tensor& x) {
  if (!state.active || rate == 0.0) {
    return;
  }
  const kernels::RandomStream stream =
      StreamOf(state, kernels::RandomUse::kAttentionDropout, layer);
  const int64_t tokens = x.size(2);
  OnHost(x, [&](float* values) {
    const int64_t grain = std::max<int64_t>(1, kDropoutGrain / tokens);
    at::parallel_for(0, x.size(0) * tokens, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        kernels::ApplyDropout(stream, rate, row * tokens, row % tokens + 1, values + row * tokens);
      }
    });
  });
}

at::Tensor LinearForward(const LinearWeights& linear, const at::Tensor& x) {
  if (linear.codes.defined()) {
    return Int8Product(linear.codes, linear.scales, x, linear.bias);
  }
  if (x.size(0) == 1) {
    return at::addmv(linear.bias, linear.weight.t(), x.view({-1})).unsqueeze(0);
  }
  return at::addmm(linear.bias, x, linear.weight);
}

at::Tensor LinearBackward(const LinearWeights& linear, const at::Tensor& x,
                          const at::Tensor& grad_out, LinearWeights& gradients) {
  WATTLE_CHECK(linear.weight.defined(), "only FP32 weights are trained");
  gradients.weight.addmm_(x.t(), grad_out);
  gradients.bias.add_(grad_out.sum(0));
  return at::mm(grad_out, linear.weight.t());
}

at::Tensor NormForward(const NormWeights& norm, double epsilon, const at::Tensor& x,
                       NormActivations* saved) {
  at::Tensor out;
  at::Tensor mean;
  at::Tensor reciprocal_deviation;
  std::tie(out, mean, reciprocal_deviation) =
      at::native_layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, epsilon);
  if (saved != nullptr) {
    *saved = {mean, reciprocal_deviation};
  }
  return out;
}

at::Tensor NormBackward(const NormWeights& norm, const NormActivations& saved, const at::Tensor& x,
                        const at::Tensor& grad_out, NormWeights& gradients) {
  at::Tensor grad_x;
  at::Tensor grad_weight;
  at::Tensor grad_bias;
  std::tie(grad_x, grad_weight, grad_bias) = at::native_layer_norm_backward(
      grad_out, x, {x.size(-1)}, saved.mean, saved.reciprocal_deviation, norm.weight, norm.bias,
      {true, true, true});
  gradients.weight.add_(grad_weight);
  gradients.bias.add_(grad_bias);
  return grad_x;
}

at::Tensor TableLookUp(const TableWeights& table, const at::Tensor& tokens) {
  if (table.weight.defined()) {
    return table.weight.index_select(0, tokens);
  }
  return DequantizeRows(table.codes.index_select(0, tokens), table.scales.index_select(0, tokens));
}

at::Tensor TableLogits(const TableWeights& table, const at::Tensor& x) {
  if (table.codes.defined()) {
    return Int8Product(table.codes, table.scales, x, at::Tensor());
  }
  if (x.size(0) == 1) {
    return at::mv(table.weight, x.view({-1})).unsqueeze(0);
  }
  return at::mm(x, table.weight.t());
}

at::Tensor DequantizeRows(const at::Tensor& codes, const at::Tensor& scales) {
  return codes.to(at::kFloat).mul_(scales.unsqueeze(1));
}

at::Tensor Int8ProductPlain(const at::Tensor& codes, const at::Tensor& scales, const at::Tensor& x,
                            const at::Tensor& bias) {
  const at::Tensor weight = DequantizeRows(codes, scales);
  return bias.defined() ? at::addmm(bias, x, weight.t()) : at::mm(x, weight.t());
}

}  // namespace wattle::engine
