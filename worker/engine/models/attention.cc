// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/attention.h"

#include <limits>

#include <ATen/ATen.h>

#include "base/check.h"

namespace wattle::engine {
namespace {

// float [tokens, seen]: 0 where query i may see key j, minus infinity elsewhere. The last `tokens`
// of `seen` are the queries. window: as in LayerDescription.
at::Tensor CausalMask(int64_t tokens, int64_t seen, int64_t window,
                      const at::TensorOptions& options) {
  const at::Tensor hidden =
      at::full({tokens, seen}, -std::numeric_limits<float>::infinity(), options);
  const int64_t first = seen - tokens;  // position of the first query
  at::Tensor mask = hidden.triu(first + 1);
  return window == 0 ? mask : mask.add_(hidden.tril(first - window));
}

// x to cap tanh(x / cap), in place.
void CapInPlace(double cap, at::Tensor& x) {
  x.div_(cap).tanh_().mul_(cap);
}

// Heads [first, first + count) of a fused tensor of rows: a view [batch, count, tokens, head_size].
at::Tensor HeadsOf(const BlockContext& context, const at::Tensor& fused, int64_t first,
                   int64_t count) {
  return fused
      .view({context.shape.batch, context.shape.tokens, -1, context.description().head_size})
      .narrow(2, first, count)
      .transpose(1, 2);
}

// A view of [batch * heads, tokens, seen] in which the heads of a group stand one below the other:
// [batch * kv_heads, group * tokens, seen]. Head h belongs to KV head h / group, so the memory is
// the same.
at::Tensor Grouped(const models::LayerDescription& layer, const at::Tensor& x) {
  const int64_t group = layer.heads / layer.kv_heads;
  return x.view({x.size(0) / group, group * x.size(1), x.size(2)});
}

// Scores of every query with the keys it may see; of the others minus infinity.
// query: [batch * heads, tokens, head_size]; key: [batch * kv_heads, seen, head_size] →
// [batch * heads, tokens, seen].
at::Tensor MaskedScores(const models::LayerDescription& layer, const at::Tensor& query,
                        const at::Tensor& key) {
  const int64_t tokens = query.size(1);
  const int64_t seen = key.size(1);
  const at::Tensor grouped = Grouped(layer, query);
  const bool sees_all = tokens == 1 && (layer.window == 0 || seen <= layer.window);
  at::Tensor mask;
  if (!sees_all) {
    mask = CausalMask(tokens, seen, layer.window, query.options());
  }
  at::Tensor scores;
  if (layer.attention_softcap > 0.0) {
    scores = at::bmm(grouped, key.transpose(1, 2)).view({query.size(0), tokens, seen});
    CapInPlace(layer.attention_softcap, scores);
    return sees_all ? scores : scores.add_(mask);
  }
  if (sees_all) {
    scores = at::bmm(grouped, key.transpose(1, 2));
  } else {
    scores = at::baddbmm(mask.repeat({layer.heads / layer.kv_heads, 1}).unsqueeze(0), grouped,
                         key.transpose(1, 2));
  }
  return scores.view({query.size(0), tokens, seen});
}

// Adds new keys or values, [1, kv_heads, tokens, head_size], to those of the slot and returns all
// of them: [kv_heads, seen, head_size], a view.
at::Tensor Append(const at::Tensor& cached, int64_t filled, const at::Tensor& added) {
  const int64_t tokens = added.size(2);
  cached.narrow(1, filled, tokens).copy_(added[0]);
  return cached.narrow(1, 0, filled + tokens);
}

// Each row of [..., head_size] to int8 times its own scale, max|x| / 127, held as floats.
at::Tensor RoundedToInt8(const at::Tensor& x) {
  constexpr double kCodeMax = 127.0;
  constexpr double kLeastScale = 1e-30;  // of a row of zeros
  const at::Tensor scale =
      x.abs().amax(-1, /*keepdim=*/true).div_(kCodeMax).clamp_min_(kLeastScale);
  return x.div(scale).round_().mul_(scale);
}

}  // namespace

at::Tensor AttentionForward(const BlockContext& context, const at::Tensor& qkv,
                            AttentionActivations* saved) {
  const models::LayerDescription& layer = context.description();
  const SequenceShape& shape = context.shape;
  const auto contiguous = [&](int64_t first, int64_t count) {
    return HeadsOf(context, qkv, first, count)
        .contiguous()
        .view({shape.batch * count, shape.tokens, layer.head_size});
  };
  at::Tensor query = contiguous(0, layer.heads).mul_(layer.query_scale());
  at::Tensor key = contiguous(layer.heads, layer.kv_heads);
  at::Tensor value;
  if (context.rotary != nullptr) {
    Rotate(*context.rotary, context.first_position(), Turn::kForward, query);
    Rotate(*context.rotary, context.first_position(), Turn::kForward, key);
  }
  if (context.int8_keys_and_values) {
    query = RoundedToInt8(query);
    key = RoundedToInt8(key);
  }
  const int64_t first_value = layer.heads + layer.kv_heads;
  const auto rounded = [&](const at::Tensor& x) {
    return context.int8_keys_and_values ? RoundedToInt8(x) : x;
  };
  if (context.cache != nullptr) {
    WATTLE_CHECK(shape.batch == 1 && saved == nullptr, "a cached block serves one sequence");
    const int64_t filled = context.first_position();
    key = Append(context.cache->Keys(context.layer, context.slot), filled, key.unsqueeze(0));
    value = Append(context.cache->Values(context.layer, context.slot), filled,
                   rounded(HeadsOf(context, qkv, first_value, layer.kv_heads)));
  } else {
    value = rounded(contiguous(first_value, layer.kv_heads));
  }
  at::Tensor probabilities =
      at::_softmax(MaskedScores(layer, query, key), -1, /*half_to_float=*/false);
  if (saved != nullptr) {
    *saved = {query, key, value, probabilities};
  }
  if (context.dropout.active && context.config.attention_dropout > 0.0) {
    probabilities = probabilities.clone();
    DropCausalInPlace(context.dropout, context.layer, context.config.attention_dropout,
                      probabilities);
  }
  return at::bmm(Grouped(layer, probabilities), value)
      .view({shape.batch, layer.heads, shape.tokens, layer.head_size})
      .transpose(1, 2)
      .reshape({shape.batch * shape.tokens, layer.attention_width()});
}

at::Tensor AttentionBackward(const BlockContext& context, const AttentionActivations& saved,
                             const at::Tensor& grad_out) {
  const models::LayerDescription& layer = context.description();
  const SequenceShape& shape = context.shape;
  const at::Tensor grad_heads =
      HeadsOf(context, grad_out, 0, layer.heads)
          .contiguous()
          .view({shape.batch * layer.heads, shape.tokens, layer.head_size});
  at::Tensor dropped = saved.probabilities;
  const double rate = context.config.attention_dropout;
  if (context.dropout.active && rate > 0.0) {
    dropped = dropped.clone();
    DropCausalInPlace(context.dropout, context.layer, rate, dropped);
  }
  // The heads of a group share keys and values: their gradients are summed by the products.
  const at::Tensor grad_value =
      at::bmm(Grouped(layer, dropped).transpose(1, 2), Grouped(layer, grad_heads));
  at::Tensor grad_probabilities =
      at::bmm(Grouped(layer, grad_heads), saved.value.transpose(1, 2))
          .view({shape.batch * layer.heads, shape.tokens, shape.tokens});
  DropCausalInPlace(context.dropout, context.layer, rate, grad_probabilities);
  // Above the diagonal probabilities are 0, and so is the gradient of the scores whatever stands in
  // grad_probabilities.
  at::Tensor grad_scores =
      at::_softmax_backward_data(grad_probabilities, saved.probabilities, -1, at::kFloat);
  if (layer.attention_softcap > 0.0) {
    // d(cap tanh(s / cap)) / ds = 1 - tanh²; the scores are computed again rather than kept.
    const at::Tensor tangent = at::bmm(Grouped(layer, saved.query), saved.key.transpose(1, 2))
                                   .view(grad_scores.sizes())
                                   .div_(layer.attention_softcap)
                                   .tanh_();
    grad_scores.sub_(grad_scores * tangent.square_());
  }
  at::Tensor grad_query = at::bmm(Grouped(layer, grad_scores), saved.key)
                              .mul_(layer.query_scale())
                              .view(saved.query.sizes());
  at::Tensor grad_key =
      at::bmm(Grouped(layer, grad_scores).transpose(1, 2), Grouped(layer, saved.query));
  if (context.rotary != nullptr) {
    Rotate(*context.rotary, 0, Turn::kBack, grad_query);
    Rotate(*context.rotary, 0, Turn::kBack, grad_key);
  }
  at::Tensor grad_qkv =
      at::empty({shape.batch * shape.tokens, layer.qkv_rows()}, grad_out.options());
  const auto place = [&](const at::Tensor& grad, int64_t first, int64_t count) {
    HeadsOf(context, grad_qkv, first, count)
        .copy_(grad.view({shape.batch, count, shape.tokens, layer.head_size}));
  };
  place(grad_query, 0, layer.heads);
  place(grad_key, layer.heads, layer.kv_heads);
  place(grad_value, layer.heads + layer.kv_heads, layer.kv_heads);
  return grad_qkv;
}

}  // namespace wattle::engine
