// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/planned_layer.h"

#include <algorithm>

#include "proto/quantization_recipe.h"

namespace wattle::models {
namespace {

constexpr int64_t kDequantizedRows = 256;  // worker/engine/models/layers.cc

}  // namespace

PlannedPass::PlannedPass(const DecoderConfig& planned_config, const PassDescription& planned_pass)
    : config(planned_config), pass(planned_pass) {
  for (const ModelTensor& tensor : ModelTensors(config)) {
    if (!tensor.is_matrix() || !tensor.is_multiplied(config)) {
      continue;
    }
    const bool is_head = tensor.slot == Slot::kTokens || tensor.slot == Slot::kHead;
    if (FormatName(MatrixFormat(pass.recipe, tensor.name, is_head)) != "fp32") {
      quantized.insert({is_head ? Slot::kHead : tensor.slot, tensor.layer});
    }
  }
}

// ---- layers.cc

Planned PlannedLayers::DequantizedPiece(const PlannedMatrix& matrix) {
  return Make("dequantized rows", {std::min(kDequantizedRows, matrix.outputs), matrix.inputs});
}

Planned PlannedLayers::MatrixProduct(const char* name, const PlannedMatrix& matrix, int64_t rows) {
  Planned out = Make(name, {rows, matrix.outputs});
  // Outside of training the kernels multiply with the packed weights.
  const bool trains = pass_.trains() || !pass_.pass.adapters.empty();
  if (trains && pass_.is_dequantized(matrix.slot, matrix.layer)) {
    const Planned piece = DequantizedPiece(matrix);
    for (int64_t first = 0; first < matrix.outputs; first += kDequantizedRows) {
      Make("product with dequantized rows",
           {rows, std::min(kDequantizedRows, matrix.outputs - first)});
    }
  }
  return out;
}

Planned PlannedLayers::TransposedProduct(const char* name, const PlannedMatrix& matrix,
                                         int64_t rows) {
  Planned out = Make(name, {rows, matrix.inputs});
  if (pass_.is_dequantized(matrix.slot, matrix.layer)) {
    const Planned piece = DequantizedPiece(matrix);
  }
  return out;
}

Planned PlannedLayers::AdapterInput(const PlannedMatrix& matrix, const Planned& x) {
  return pass_.pass.adapter_dropout == 0.0
             ? x
             : Make("adapter input with dropout", {pass_.rows(), matrix.inputs});
}

bool PlannedLayers::HasBias(const PlannedMatrix& matrix) const {
  const LayerDescription& layer = pass_.config.layers[static_cast<size_t>(matrix.layer)];
  switch (matrix.slot) {
    case Slot::kQkv:
      return layer.qkv_bias;
    case Slot::kAttentionOutput:
      return layer.attention_output_bias;
    default:
      return layer.mlp_bias;
  }
}

Planned PlannedLayers::LinearForward(const char* name, const PlannedMatrix& matrix,
                                     const Planned& x) {
  Planned out = MatrixProduct(name, matrix, pass_.rows());
  for (const AdapterModule& adapter : pass_.pass.adapters) {
    if (adapter.slot == matrix.slot && adapter.layer == matrix.layer) {
      const Planned input = AdapterInput(matrix, x);
      const Planned inner = Make("adapter rows", {pass_.rows(), adapter.a.shape[0]});
    }
  }
  return out;
}

Planned PlannedLayers::LinearBackward(const char* name, const PlannedMatrix& matrix,
                                      const Planned& x) {
  if (pass_.trains_weights() && HasBias(matrix)) {
    Make("bias gradient", {matrix.outputs});
  }
  Planned grad_x = TransposedProduct(name, matrix, pass_.rows());
  for (const AdapterModule& adapter : pass_.pass.adapters) {
    if (adapter.slot == matrix.slot && adapter.layer == matrix.layer) {
      const int64_t rank = adapter.a.shape[0];
      const Planned input = AdapterInput(matrix, x);
      const Planned grad_inner = Make("adapter rows gradient", {pass_.rows(), rank});
      Make("adapter rows", {pass_.rows(), rank});
      const Planned grad_input = Make("adapter input gradient", {pass_.rows(), matrix.inputs});
    }
  }
  return grad_x;
}

void PlannedLayers::MeanOfProduct(int64_t rows, int64_t columns, Planned& mean) {
  const Planned product = Make("product of rows", {rows, columns});
  mean = Make("means of rows", {rows});
}

Planned PlannedLayers::NormForward(const char* name, int64_t rows, int64_t columns,
                                   PlannedNormActivations* saved) {
  if (pass_.config.norm != Norm::kLayerNorm) {
    Planned reciprocal;
    MeanOfProduct(rows, columns, reciprocal);
    if (saved != nullptr) {
      saved->reciprocal_deviation = reciprocal;
    }
    Planned normed = Make(name, {rows, columns});
    Gain(columns);
    return normed;
  }
  Planned out = Make(name, {rows, columns});
  const Planned mean = Make("means of rows", {rows});
  const Planned reciprocal = Make("reciprocal deviations of rows", {rows});
  if (saved != nullptr) {
    *saved = {mean, reciprocal};
  }
  return out;
}

Planned PlannedLayers::Gain(int64_t columns) {
  return pass_.config.norm == Norm::kRmsNormPlusOne ? Make("1 + gain", {columns}) : nullptr;
}

Planned PlannedLayers::NormBackward(const char* name, int64_t rows, int64_t columns) {
  if (pass_.config.norm != Norm::kLayerNorm) {
    const Planned normed = Make("normed", {rows, columns});
    if (pass_.trains_weights()) {
      const Planned product = Make("gradient times normed", {rows, columns});
      Make("gain gradient", {columns});
    }
    Planned grad_x;
    {
      const Planned gain = Gain(columns);
      grad_x = Make(name, {rows, columns});
    }
    Planned projection;
    MeanOfProduct(rows, columns, projection);
    Make("normed times projection", {rows, columns});
    return grad_x;
  }
  Planned grad_x = Make(name, {rows, columns});
  if (pass_.trains_weights()) {
    const Planned grad_weight = Make("gain gradient", {columns});
    const Planned grad_bias = Make("norm bias gradient", {columns});
    Make("norm gradients of threads", {2, pass_.pass.threads, columns});
  }
  return grad_x;
}

// ---- attention.cc

std::vector<int64_t> PlannedLayer::OfHeads(int64_t heads) const {
  return {pass_.pass.batch * heads, pass_.pass.tokens, layer_.head_size};
}

std::vector<int64_t> PlannedLayer::OfScores() const {
  return {pass_.pass.batch * layer_.heads, pass_.pass.tokens, pass_.seen()};
}

Planned PlannedLayer::RoundedToInt8(const Planned& x, int64_t heads) {
  if (pass_.trains() || !KeysAndValuesAreInt8(pass_.pass.recipe)) {
    return x;
  }
  const std::vector<int64_t> shape = OfHeads(heads);
  Planned scale;
  {
    const Planned magnitudes = Make("magnitudes", shape);
    scale = Make("scales", {shape[0], shape[1]});
  }
  return Make("rounded to int8", shape);
}

void PlannedLayer::Rotate(int64_t heads, bool back) {
  const int64_t half = layer_.rotary->dimensions / 2;
  const int64_t tokens = pass_.pass.tokens;
  const std::vector<int64_t> shape = {pass_.pass.batch * heads, tokens, half};
  const Planned sines = back ? Make("sines turned back", {tokens, half}) : nullptr;
  Planned turned;
  {
    const Planned cosine_part = Make("turned by cosines", shape);
    const Planned sine_part = Make("turned by sines", shape);
    turned = Make("turned", shape);
  }
  Make("turned by sines", shape);
}

void PlannedLayer::QueryProductInto() {
  if (layer_.shares_keys()) {
    Make("heads", OfHeads(layer_.heads));
  }
}

Planned PlannedLayer::AttentionForward(const Planned& qkv, PlannedAttentionActivations* saved) {
  // Heads that share keys are copied unless there is only one row; other heads are views of qkv.
  const auto heads_of = [&](const char* name, int64_t heads) {
    return layer_.shares_keys() && pass_.rows() > 1 ? Make(name, OfHeads(heads)) : qkv;
  };
  Planned query = heads_of("query", layer_.heads);
  Planned key = heads_of("key", layer_.kv_heads);
  Planned value;
  if (layer_.rotary.has_value()) {
    Rotate(layer_.heads, /*back=*/false);
    Rotate(layer_.kv_heads, /*back=*/false);
  }
  query = RoundedToInt8(query, layer_.heads);
  key = RoundedToInt8(key, layer_.kv_heads);
  if (pass_.pass.kind == PassKind::kDecode) {
    key.reset();  // already in the cache; the value is stored there without a copy
    RoundedToInt8(nullptr, layer_.kv_heads);
  } else {
    value = RoundedToInt8(heads_of("value", layer_.kv_heads), layer_.kv_heads);
  }
  Planned probabilities = Make("probabilities", OfScores());
  const Planned dropped = pass_.trains() && pass_.config.attention_dropout > 0.0
                              ? Make("probabilities with dropout", OfScores())
                              : probabilities;
  if (saved != nullptr) {
    *saved = {query, key, value, probabilities};
  }
  probabilities.reset();
  const Planned out = Make("heads side by side", {pass_.rows(), layer_.attention_width()});
  QueryProductInto();
  return out;
}

Planned PlannedLayer::AttentionBackward(const PlannedAttentionActivations& saved,
                                        const Planned& grad_out) {
  static_cast<void>(grad_out);
  const Planned grad_qkv = Make("qkv gradient", {pass_.rows(), layer_.qkv_rows()});
  const Planned grad_heads =
      layer_.shares_keys() ? Make("heads gradient", OfHeads(layer_.heads)) : nullptr;
  const Planned grad_scores = Make("scores gradient", OfScores());
  const Planned dropped = pass_.config.attention_dropout > 0.0
                              ? Make("probabilities with dropout", OfScores())
                              : saved.probabilities;
  if (layer_.attention_softcap > 0.0) {
    const Planned tangent = Make("tangent of scores", OfScores());
    Make("scores gradient times tangent", OfScores());
  }
  QueryProductInto();
  if (layer_.rotary.has_value()) {
    Rotate(layer_.heads, /*back=*/true);
    Rotate(layer_.kv_heads, /*back=*/true);
  }
  return grad_qkv;
}

// ---- block.cc

Planned PlannedLayer::ActivationForward() {
  return Make("activated", {pass_.rows(), layer_.mlp_width});
}

Planned PlannedLayer::ActivationBackward() {
  const std::vector<int64_t> inner = {pass_.rows(), layer_.mlp_width};
  if (!layer_.gated_mlp) {
    return Make("up gradient", inner);
  }
  Planned grad_up = Make("up gradient", {pass_.rows(), layer_.up_rows()});
  {
    const Planned product = Make("gradient times value", inner);
    Make("gate gradient", inner);
  }
  Make("activated gate", inner);
  return grad_up;
}

struct PlannedLayer::BranchEnd {
  bool inner_norm = false;
  PlannedMatrix matrix;
  bool post_norm = false;
  Planned PlannedBlockActivations::*linear_input = nullptr;
  PlannedBranchEndActivations PlannedBlockActivations::*activations = nullptr;
};

PlannedMatrix PlannedLayer::Matrix(Slot slot) const {
  const int64_t width = pass_.config.width;
  switch (slot) {
    case Slot::kQkv:
      return {slot, index_, layer_.qkv_rows(), width};
    case Slot::kAttentionOutput:
      return {slot, index_, width, layer_.attention_width()};
    case Slot::kUp:
      return {slot, index_, layer_.up_rows(), width};
    default:
      return {slot, index_, width, layer_.mlp_width};
  }
}

PlannedLayer::BranchEnd PlannedLayer::AttentionEnd() const {
  return {.inner_norm = layer_.inner_norms,
          .matrix = Matrix(Slot::kAttentionOutput),
          .post_norm = layer_.post_norms,
          .linear_input = &PlannedBlockActivations::merged,
          .activations = &PlannedBlockActivations::attention_end};
}

PlannedLayer::BranchEnd PlannedLayer::MlpEnd() const {
  return {.inner_norm = layer_.inner_norms,
          .matrix = Matrix(Slot::kDown),
          .post_norm = layer_.post_norms,
          .linear_input = &PlannedBlockActivations::activated,
          .activations = &PlannedBlockActivations::mlp_end};
}

Planned PlannedLayer::EndForward(const BranchEnd& end, Planned x, PlannedBlockActivations* saved) {
  PlannedBranchEndActivations* own = saved == nullptr ? nullptr : &(saved->*end.activations);
  if (end.inner_norm) {
    if (own != nullptr) {
      own->inner = x;
    }
    x = NormForward("inner norm", pass_.rows(), end.matrix.inputs,
                    own == nullptr ? nullptr : &own->inner_norm);
  }
  {
    const Planned input = std::move(x);
    if (saved != nullptr) {
      saved->*end.linear_input = input;
    }
    x = LinearForward("end of branch", end.matrix, input);
  }
  if (end.post_norm) {
    if (own != nullptr) {
      own->post = x;
    }
    x = NormForward("post norm", pass_.rows(), pass_.config.width,
                    own == nullptr ? nullptr : &own->post_norm);
  }
  return x;
}

Planned PlannedLayer::EndBackward(const BranchEnd& end, const PlannedBlockActivations& saved) {
  const int64_t width = pass_.config.width;
  Planned grad = Make("branch gradient", {pass_.rows(), width});
  if (end.post_norm) {
    grad = NormBackward("post norm gradient", pass_.rows(), width);
  }
  grad = LinearBackward("branch input gradient", end.matrix, saved.*end.linear_input);
  if (end.inner_norm) {
    grad = NormBackward("inner norm gradient", pass_.rows(), end.matrix.inputs);
  }
  return grad;
}

Planned PlannedLayer::Forward(const Planned& x, PlannedBlockActivations* saved) {
  const int64_t width = pass_.config.width;
  const auto keep = [&](Planned PlannedBlockActivations::*member, const Planned& value) {
    if (saved != nullptr) {
      saved->*member = value;
    }
    return value;
  };
  const auto norm = [&](const char* name, PlannedNormActivations PlannedBlockActivations::*member) {
    return NormForward(name, pass_.rows(), width, saved == nullptr ? nullptr : &(saved->*member));
  };
  keep(&PlannedBlockActivations::input, x);
  Planned attention_input = keep(&PlannedBlockActivations::attention_input,
                                 norm("attention input", &PlannedBlockActivations::attention_norm));
  Planned stream;
  {
    const Planned qkv = LinearForward("qkv", Matrix(Slot::kQkv), attention_input);
    stream =
        EndForward(AttentionEnd(),
                   AttentionForward(qkv, saved == nullptr ? nullptr : &saved->attention), saved);
  }
  Planned mlp_input;
  if (layer_.residual == Residual::kParallelOneNorm) {
    mlp_input = keep(&PlannedBlockActivations::mlp_input, attention_input);
  } else {
    keep(&PlannedBlockActivations::middle, layer_.residual == Residual::kSequential ? stream : x);
    mlp_input = keep(&PlannedBlockActivations::mlp_input,
                     norm("MLP input", &PlannedBlockActivations::mlp_norm));
  }
  attention_input.reset();
  Planned up =
      keep(&PlannedBlockActivations::up, LinearForward("up", Matrix(Slot::kUp), mlp_input));
  mlp_input.reset();
  Planned activated = ActivationForward();
  up.reset();
  return EndForward(MlpEnd(), std::move(activated), saved);
}

Planned PlannedLayer::Backward(const PlannedBlockActivations& saved, const Planned& grad_out) {
  const int64_t width = pass_.config.width;
  const Planned grad_activated = EndBackward(MlpEnd(), saved);
  const Planned grad_up = ActivationBackward();
  const Planned grad_mlp_input =
      LinearBackward("MLP input gradient", Matrix(Slot::kUp), saved.mlp_input);
  Planned grad_stream = grad_out;
  Planned grad_middle;
  if (layer_.residual != Residual::kParallelOneNorm) {
    grad_middle = NormBackward("middle gradient", pass_.rows(), width);
    grad_stream = layer_.residual == Residual::kSequential ? grad_middle : grad_out;
  }
  const Planned grad_merged = EndBackward(AttentionEnd(), saved);
  const Planned grad_qkv = AttentionBackward(saved.attention, grad_merged);
  const Planned grad_attention_input =
      LinearBackward("attention input gradient", Matrix(Slot::kQkv), saved.attention_input);
  return NormBackward("input gradient", pass_.rows(), width);
}

}  // namespace wattle::models
