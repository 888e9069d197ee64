// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/layers.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "models/decoder_config.h"
#include "worker/engine/device/device.h"
#include "worker/engine/kernels/activation.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/products.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

at::Tensor DequantizedProduct(const MatrixWeights& matrix, const at::Tensor& x,
                              const at::Tensor& bias) {
  at::Tensor out = at::empty({x.size(0), matrix.matrix.rows}, x.options());
  const at::Tensor factor = Factor(x);
  OperationsOn(x).ForEachFactorOf(
      FactorsOfThread(), matrix, [&](int64_t first, const at::Tensor& weights) {
        out.narrow(1, first, weights.size(0)).copy_(Product(factor, weights.t()));
      });
  return bias.defined() ? out.add_(bias) : out;
}

// Whether a product of x reads the BF16 numbers of the matrix directly.
bool ReadsBf16(const MatrixWeights& matrix) {
  return matrix.is_bf16() && FactorsOfThread() != kernels::FactorType::kFloat32;
}

// The input of an adapter: x itself, or a copy with dropout.
at::Tensor AdapterInput(const LowRankAdapter& adapter, const DropoutState& dropout,
                        const at::Tensor& x) {
  if (!dropout.active || adapter.dropout == 0.0) {
    return x;
  }
  return Dropped(dropout, kernels::RandomUse::kAdapterDropout, adapter.site, adapter.dropout, x);
}

// The rows of an adapter in the layer's output, or its gradient.
at::Tensor AdapterRows(const LowRankAdapter& adapter, const at::Tensor& out) {
  return out.narrow(1, adapter.first_row, adapter.b.size(0));
}

// y = s B A d(x), with u = A d(x): ∂B = s gᵀ u, ∂u = s g B, ∂A = ∂uᵀ d(x), ∂x = d(∂u A).
void AdapterBackward(const LowRankAdapter& adapter, const at::Tensor& x, const at::Tensor& grad_out,
                     const DropoutState& dropout, LowRankAdapter& gradients, at::Tensor& grad_x) {
  const at::Tensor input = AdapterInput(adapter, dropout, x);
  const at::Tensor grad = AdapterRows(adapter, grad_out);
  const at::Tensor grad_inner = at::mm(grad, adapter.b).mul_(adapter.scale);
  gradients.b.addmm_(grad.t(), at::mm(input, adapter.a.t()), 1.0, adapter.scale);
  gradients.a.addmm_(grad_inner.t(), input);
  at::Tensor grad_input = at::mm(grad_inner, adapter.a);
  DropInPlace(dropout, kernels::RandomUse::kAdapterDropout, adapter.site, adapter.dropout,
              grad_input);
  grad_x.add_(grad_input);
}

RmsGain GainOf(models::Norm kind, const NormWeights& norm) {
  return {.weight = norm.weight, .plus_one = kind == models::Norm::kRmsNormPlusOne};
}

}  // namespace

kernels::RandomStream DropoutStream(const DropoutState& state, kernels::RandomUse use,
                                    int64_t layer) {
  return {
      .seed = state.seed, .step = state.counter, .use = use, .layer = static_cast<uint32_t>(layer)};
}

void DropInPlace(const DropoutState& state, kernels::RandomUse use, int64_t layer, double rate,
                 at::Tensor& x) {
  if (!state.active || rate == 0.0) {
    return;
  }
  WATTLE_CHECK(x.is_contiguous(), "dropout counts elements in memory order");
  OperationsOn(x).DropOut(DropoutStream(state, use, layer), rate, x);
}

at::Tensor Dropped(const DropoutState& state, kernels::RandomUse use, int64_t layer, double rate,
                   const at::Tensor& x) {
  return !state.active || rate == 0.0
             ? x.clone(at::MemoryFormat::Contiguous)
             : OperationsOn(x).DroppedOut(DropoutStream(state, use, layer), rate, x);
}

at::Tensor Dequantize(const MatrixWeights& matrix) {
  if (matrix.is_float()) {
    return matrix.value;
  }
  const kernels::WeightMatrix& stored = matrix.matrix;
  const at::Tensor out = at::empty({stored.rows, stored.columns},
                                   at::dtype(at::kFloat).device(matrix.packed.device()));
  OperationsOn(out).ForEachPieceOf(matrix, [&](int64_t first, const at::Tensor& rows) {
    out.narrow(0, first, rows.size(0)).copy_(rows);
  });
  return out;
}

at::Tensor MatrixProductPlain(const MatrixWeights& matrix, const at::Tensor& x,
                              const at::Tensor& bias) {
  return Product(x, Dequantize(matrix).t(), bias);
}

at::Tensor MatrixProduct(const MatrixWeights& matrix, const at::Tensor& x, const at::Tensor& bias) {
  if (matrix.is_float()) {
    if (x.size(0) != 1 || FactorsOfThread() != kernels::FactorType::kFloat32) {
      return MatrixProductPlain(matrix, x, bias);
    }
    const at::Tensor row = x.view({-1});
    return (bias.defined() ? at::addmv(bias, matrix.value, row) : at::mv(matrix.value, row))
        .unsqueeze(0);
  }
  if (ReadsBf16(matrix)) {
    return Product(x, matrix.packed.t(), bias);
  }
  return matrix.dequantized_products ? DequantizedProduct(matrix, x, bias)
                                     : OperationsOn(x).StoredProduct(matrix, x, bias);
}

at::Tensor TransposedProduct(const MatrixWeights& matrix, const at::Tensor& x) {
  if (matrix.is_float()) {
    return Product(x, matrix.value);
  }
  if (ReadsBf16(matrix)) {
    return Product(x, matrix.packed);
  }
  at::Tensor out = at::zeros({x.size(0), matrix.matrix.columns}, x.options().dtype(at::kFloat));
  OperationsOn(x).ForEachFactorOf(FactorsOfThread(), matrix,
                                  [&](int64_t first, const at::Tensor& weights) {
                                    AddProduct(x.narrow(1, first, weights.size(0)), weights, out);
                                  });
  return out;
}

void AddMatrixGradient(const at::Tensor& grad_out, const at::Tensor& x, MatrixWeights& gradient) {
  if (gradient.unwritten) {
    ProductInto(grad_out.t(), x, gradient.value);
    gradient.unwritten = false;
  } else {
    AddProduct(grad_out.t(), x, gradient.value);
  }
}

at::Tensor LinearInput(std::initializer_list<const LinearWeights*> readers, const at::Tensor& x) {
  // Adapters and kernels of packed matrices read unrounded numbers.
  const bool plain = std::all_of(readers.begin(), readers.end(), [](const LinearWeights* linear) {
    return linear->matrix.is_float() && linear->adapters.empty();
  });
  return plain ? Factor(x) : x;
}

at::Tensor LinearForward(const LinearWeights& linear, const at::Tensor& x,
                         const DropoutState& dropout) {
  at::Tensor out = MatrixProduct(linear.matrix, x, linear.bias);
  for (const LowRankAdapter& adapter : linear.adapters) {
    const at::Tensor inner = at::mm(AdapterInput(adapter, dropout, x), adapter.a.t());
    AdapterRows(adapter, out).addmm_(inner, adapter.b.t(), 1.0, adapter.scale);
  }
  return out;
}

at::Tensor LinearBackward(const LinearWeights& linear, const at::Tensor& x,
                          const at::Tensor& grad_out, LinearWeights& gradients,
                          const DropoutState& dropout) {
  const at::Tensor factor = Factor(grad_out);
  if (gradients.matrix.value.defined()) {
    AddMatrixGradient(factor, x, gradients.matrix);
  }
  if (gradients.bias.defined()) {
    gradients.bias.add_(grad_out.sum(0));
  }
  at::Tensor grad_x = TransposedProduct(linear.matrix, factor);
  for (size_t i = 0; i < gradients.adapters.size(); ++i) {
    AdapterBackward(linear.adapters[i], x, grad_out, dropout, gradients.adapters[i], grad_x);
  }
  return grad_x;
}

at::Tensor NormForward(models::Norm kind, double epsilon, const NormWeights& norm,
                       const at::Tensor& x, NormActivations* saved) {
  if (kind != models::Norm::kLayerNorm) {
    at::Tensor reciprocal;
    at::Tensor out = OperationsOn(x).RmsNorm(GainOf(kind, norm), epsilon, x, reciprocal);
    if (saved != nullptr) {
      saved->reciprocal_deviation = std::move(reciprocal);
    }
    return out;
  }
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

at::Tensor NormBackward(models::Norm kind, const NormWeights& norm, const NormActivations& saved,
                        const at::Tensor& x, const at::Tensor& grad_out, NormWeights& gradients) {
  if (kind != models::Norm::kLayerNorm) {
    return OperationsOn(x).RmsNormBackward(GainOf(kind, norm), saved.reciprocal_deviation, x,
                                           grad_out, gradients.weight);
  }
  at::Tensor grad_x;
  at::Tensor grad_weight;
  at::Tensor grad_bias;
  const bool trained = gradients.weight.defined();
  std::tie(grad_x, grad_weight, grad_bias) = at::native_layer_norm_backward(
      grad_out, x, {x.size(-1)}, saved.mean, saved.reciprocal_deviation, norm.weight, norm.bias,
      {true, trained, trained});
  if (trained) {
    gradients.weight.add_(grad_weight);
    gradients.bias.add_(grad_bias);
  }
  return grad_x;
}

kernels::Nonlinearity NonlinearityOf(models::Activation activation) {
  switch (activation) {
    case models::Activation::kGeluTanh:
      return kernels::Nonlinearity::kGeluTanh;
    case models::Activation::kGeluErf:
      return kernels::Nonlinearity::kGeluErf;
    case models::Activation::kSilu:
      return kernels::Nonlinearity::kSilu;
    case models::Activation::kRelu:
      break;
  }
  return kernels::Nonlinearity::kRelu;
}

at::Tensor ActivationForward(const models::LayerDescription& layer, const at::Tensor& up) {
  const DeviceOperations& device = OperationsOn(up);
  if (!layer.gated_mlp) {
    return device.Activate(layer.activation, up);
  }
  return device.Activate(layer.activation, up.narrow(1, 0, layer.mlp_width))
      .mul_(up.narrow(1, layer.mlp_width, layer.mlp_width));
}

at::Tensor ActivationBackward(const models::LayerDescription& layer, const at::Tensor& up,
                              const at::Tensor& grad_out) {
  const DeviceOperations& device = OperationsOn(up);
  if (!layer.gated_mlp) {
    return device.ActivateBackward(layer.activation, grad_out, up);
  }
  const at::Tensor gate = up.narrow(1, 0, layer.mlp_width);
  const at::Tensor value = up.narrow(1, layer.mlp_width, layer.mlp_width);
  at::Tensor grad_up = at::empty_like(up);
  grad_up.narrow(1, 0, layer.mlp_width)
      .copy_(device.ActivateBackward(layer.activation, grad_out * value, gate));
  grad_up.narrow(1, layer.mlp_width, layer.mlp_width)
      .copy_(device.Activate(layer.activation, gate).mul_(grad_out));
  return grad_up;
}

at::Tensor LookUpRows(const MatrixWeights& table, const at::Tensor& tokens) {
  if (table.is_float()) {
    return table.value.index_select(0, tokens);
  }
  return OperationsOn(tokens).StoredRowsAt(table, tokens);
}

}  // namespace wattle::engine
