// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/layers.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "models/decoder_config.h"
#include "worker/engine/device/aten/random.h"
#include "worker/engine/device/aten/stored_rows.h"
#include "worker/engine/kernels/activation.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/products.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// Elements of one piece of parallel dropout; a multiple of the generator's block.
constexpr int64_t kDropoutGrain = 1 << 15;
// The two forms of GELU, as libtorch names them: the approximation by tanh, and none.
constexpr char kTanh[] = "tanh";
constexpr char kNone[] = "none";

// Rows of a quantized matrix that are FP32 at once in products of training.
constexpr int64_t kDequantizedRows = 256;
static_assert(kDequantizedRows % kernels::kPanelRows == 0);
// Numbers of such a piece on another device, where each piece costs the start of ten operators.
constexpr int64_t kNumbersOfPiece = 1 << 22;

template <typename Body>
void ForEachPieceOnDevice(const MatrixWeights& matrix, Body body) {
  const kernels::WeightMatrix& stored = matrix.matrix;
  const int64_t together =
      std::max<int64_t>(kernels::kPanelRows, kNumbersOfPiece / stored.columns /
                                                 kernels::kPanelRows * kernels::kPanelRows);
  for (int64_t first = 0; first < stored.rows; first += together) {
    body(first, StoredRows(matrix, first, std::min(together, stored.rows - first)));
  }
}

// Calls body(first_row, float [rows, inputs]) for pieces of a quantized matrix, one after the
// other; on the host in the same memory.
template <typename Body>
void ForEachDequantizedPiece(const MatrixWeights& matrix, Body body) {
  const kernels::WeightMatrix& stored = matrix.matrix;
  if (!matrix.packed.device().is_cpu()) {
    ForEachPieceOnDevice(matrix, body);
    return;
  }
  const kernels::FormatOperations& format = kernels::OperationsOf(stored.format.scheme);
  const at::Tensor piece =
      at::empty({std::min(kDequantizedRows, stored.rows), stored.columns}, at::kFloat);
  auto* values = piece.data_ptr<float>();
  for (int64_t first = 0; first < stored.rows; first += kDequantizedRows) {
    const int64_t rows = std::min(kDequantizedRows, stored.rows - first);
    ForEachPiece(rows, kernels::kPanelRows, [&](int64_t begin, int64_t end) {
      format.dequantize(stored, first + begin, first + end, values + begin * stored.columns);
    });
    body(first, piece.narrow(0, 0, rows));
  }
}

at::Tensor DequantizedProduct(const MatrixWeights& matrix, const at::Tensor& x,
                              const at::Tensor& bias) {
  at::Tensor out = at::empty({x.size(0), matrix.matrix.rows}, x.options());
  ForEachDequantizedPiece(matrix, [&](int64_t first, const at::Tensor& weights) {
    out.narrow(1, first, weights.size(0)).copy_(Product(x, weights.t()));
  });
  return bias.defined() ? out.add_(bias) : out;
}

// Whether a product of x reads the BF16 numbers of the matrix as they are stored.
bool ReadsBf16(const MatrixWeights& matrix) {
  return matrix.is_bf16() && FactorsOfThread() != kernels::FactorType::kFloat32;
}

// What an adapter reads: x itself, or a copy with dropout.
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

// The row-wise mean of a · b: [rows, 1].
at::Tensor MeanOfProduct(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).mean({-1}, /*keepdim=*/true);
}

const char* GeluKind(models::Activation activation) {
  return activation == models::Activation::kGeluTanh ? kTanh : kNone;
}

bool IsInHostMemory(const at::Tensor& x) {
  return x.device().is_cpu() && x.is_contiguous() && x.scalar_type() == at::kFloat;
}

constexpr int64_t kActivationGrain = 1 << 14;  // elements of one piece

at::Tensor Activate(models::Activation activation, const at::Tensor& x) {
  if (IsInHostMemory(x)) {
    at::Tensor out = at::empty_like(x);
    const auto* from = x.data_ptr<float>();
    auto* to = out.data_ptr<float>();
    ForEachPiece(x.numel(), kActivationGrain, [&](int64_t begin, int64_t end) {
      kernels::Activate(NonlinearityOf(activation), from + begin, end - begin, to + begin);
    });
    return out;
  }
  switch (activation) {
    case models::Activation::kSilu:
      return at::silu(x);
    case models::Activation::kRelu:
      return at::relu(x);
    default:
      return at::gelu(x, GeluKind(activation));
  }
}

at::Tensor ActivateBackward(models::Activation activation, const at::Tensor& grad_out,
                            const at::Tensor& x) {
  if (IsInHostMemory(x) && IsInHostMemory(grad_out)) {
    at::Tensor grad = at::empty_like(x);
    const auto* of_out = grad_out.data_ptr<float>();
    const auto* values = x.data_ptr<float>();
    auto* gradients = grad.data_ptr<float>();
    ForEachPiece(x.numel(), kActivationGrain, [&](int64_t begin, int64_t end) {
      kernels::ActivateBackward(NonlinearityOf(activation), of_out + begin, values + begin,
                                end - begin, gradients + begin);
    });
    return grad;
  }
  switch (activation) {
    case models::Activation::kSilu:
      return at::silu_backward(grad_out, x);
    case models::Activation::kRelu:
      return at::threshold_backward(grad_out, x, 0);
    default:
      return at::gelu_backward(grad_out, x, GeluKind(activation));
  }
}

// What the normed rows are multiplied with.
at::Tensor GainOf(models::Norm kind, const NormWeights& norm) {
  return kind == models::Norm::kRmsNormPlusOne ? norm.weight + 1.0 : norm.weight;
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
  const kernels::RandomStream stream = DropoutStream(state, use, layer);
  if (!IsInHostMemory(x)) {
    x.mul_(DropoutFactors(stream, rate, 0, x));
    return;
  }
  auto* values = x.data_ptr<float>();
  ForEachPiece(x.numel(), kDropoutGrain, [&](int64_t begin, int64_t end) {
    kernels::ApplyDropout(stream, rate, begin, end - begin, values + begin);
  });
}

at::Tensor Dropped(const DropoutState& state, kernels::RandomUse use, int64_t layer, double rate,
                   const at::Tensor& x) {
  if (!state.active || rate == 0.0 || !IsInHostMemory(x)) {
    at::Tensor out = x.clone(at::MemoryFormat::Contiguous);
    DropInPlace(state, use, layer, rate, out);
    return out;
  }
  const kernels::RandomStream stream = DropoutStream(state, use, layer);
  at::Tensor out = at::empty_like(x);
  const auto* from = x.data_ptr<float>();
  auto* to = out.data_ptr<float>();
  ForEachPiece(x.numel(), kDropoutGrain, [&](int64_t begin, int64_t end) {
    std::copy(from + begin, from + end, to + begin);
    kernels::ApplyDropout(stream, rate, begin, end - begin, to + begin);
  });
  return out;
}

at::Tensor Dequantize(const MatrixWeights& matrix) {
  if (matrix.is_float()) {
    return matrix.value;
  }
  if (!matrix.packed.device().is_cpu()) {
    return StoredRows(matrix, 0, matrix.matrix.rows);
  }
  const kernels::WeightMatrix& stored = matrix.matrix;
  at::Tensor out = at::empty({stored.rows, stored.columns}, at::kFloat);
  kernels::OperationsOf(stored.format.scheme)
      .dequantize(stored, 0, stored.rows, out.data_ptr<float>());
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
  if (matrix.dequantized_products || !x.device().is_cpu()) {
    return DequantizedProduct(matrix, x, bias);
  }
  const at::Tensor inputs = x.contiguous();
  at::Tensor out = at::empty({inputs.size(0), matrix.matrix.rows}, inputs.options());
  kernels::WeightMatrix weights = matrix.matrix;
  weights.bias = bias.defined() ? bias.data_ptr<float>() : nullptr;
  kernels::MatMul(weights, inputs.data_ptr<float>(), inputs.size(0), {}, out.data_ptr<float>(),
                  KernelThreads());
  return out;
}

at::Tensor TransposedProduct(const MatrixWeights& matrix, const at::Tensor& x) {
  if (matrix.is_float()) {
    return Product(x, matrix.value);
  }
  if (ReadsBf16(matrix)) {
    return Product(x, matrix.packed);
  }
  at::Tensor out = at::zeros({x.size(0), matrix.matrix.columns}, x.options());
  ForEachDequantizedPiece(matrix, [&](int64_t first, const at::Tensor& weights) {
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
  if (gradients.matrix.value.defined()) {
    AddMatrixGradient(grad_out, x, gradients.matrix);
  }
  if (gradients.bias.defined()) {
    gradients.bias.add_(grad_out.sum(0));
  }
  at::Tensor grad_x = TransposedProduct(linear.matrix, grad_out);
  for (size_t i = 0; i < gradients.adapters.size(); ++i) {
    AdapterBackward(linear.adapters[i], x, grad_out, dropout, gradients.adapters[i], grad_x);
  }
  return grad_x;
}

at::Tensor NormForward(models::Norm kind, double epsilon, const NormWeights& norm,
                       const at::Tensor& x, NormActivations* saved) {
  if (kind != models::Norm::kLayerNorm) {
    const at::Tensor reciprocal = MeanOfProduct(x, x).add_(epsilon).rsqrt_();
    if (saved != nullptr) {
      saved->reciprocal_deviation = reciprocal;
    }
    return (x * reciprocal).mul_(GainOf(kind, norm));
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
    // y = w n, n = x r, r = (mean(x²) + ε)^(-1/2): dx = r (w g - n mean(n w g)).
    const at::Tensor normed = x * saved.reciprocal_deviation;
    if (gradients.weight.defined()) {
      gradients.weight.add_((grad_out * normed).sum(0));
    }
    at::Tensor grad_x = grad_out * GainOf(kind, norm);
    const at::Tensor projection = MeanOfProduct(normed, grad_x);
    return grad_x.sub_(normed * projection).mul_(saved.reciprocal_deviation);
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
  if (!layer.gated_mlp) {
    return Activate(layer.activation, up);
  }
  return Activate(layer.activation, up.narrow(1, 0, layer.mlp_width))
      .mul_(up.narrow(1, layer.mlp_width, layer.mlp_width));
}

at::Tensor ActivationBackward(const models::LayerDescription& layer, const at::Tensor& up,
                              const at::Tensor& grad_out) {
  if (!layer.gated_mlp) {
    return ActivateBackward(layer.activation, grad_out, up);
  }
  const at::Tensor gate = up.narrow(1, 0, layer.mlp_width);
  const at::Tensor value = up.narrow(1, layer.mlp_width, layer.mlp_width);
  at::Tensor grad_up = at::empty_like(up);
  grad_up.narrow(1, 0, layer.mlp_width)
      .copy_(ActivateBackward(layer.activation, grad_out * value, gate));
  grad_up.narrow(1, layer.mlp_width, layer.mlp_width)
      .copy_(Activate(layer.activation, gate).mul_(grad_out));
  return grad_up;
}

at::Tensor LookUpRows(const MatrixWeights& table, const at::Tensor& tokens) {
  if (table.is_float()) {
    return table.value.index_select(0, tokens);
  }
  if (!tokens.device().is_cpu()) {
    return StoredRowsAt(table, tokens);
  }
  at::Tensor out = at::empty({tokens.size(0), table.matrix.columns}, at::kFloat);
  const kernels::FormatOperations& format = kernels::OperationsOf(table.matrix.format.scheme);
  for (int64_t i = 0; i < tokens.size(0); ++i) {
    const int64_t token = tokens.data_ptr<int64_t>()[i];
    format.dequantize(table.matrix, token, token + 1,
                      out.data_ptr<float>() + i * table.matrix.columns);
  }
  return out;
}

}  // namespace wattle::engine
