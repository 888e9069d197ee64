// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/attention.h"

#include "base/check.h"
#include "worker/engine/device/device.h"
#include "worker/engine/models/masked_softmax.h"
#include "worker/engine/models/products.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using kernels::CausalMask;

// Replaces x by cap tanh(x / cap).
void CapInPlace(double cap, at::Tensor& x) {
  x.div_(cap).tanh_().mul_(cap);
}

// A group during attention.
struct PlacedGroup {
  const SequenceGroup& shape;
  int64_t first_row = 0;          // its first row in the stream
  int64_t first_probability = 0;  // its first element for dropout
};

// Calls body(index, group) for each group, in the order of their rows.
template <typename Body>
void ForEachGroup(const BlockContext& context, Body body) {
  int64_t row = 0;
  int64_t probability = 0;
  for (size_t i = 0; i < context.groups.size(); ++i) {
    const SequenceGroup& shape = context.groups[i];
    body(i, PlacedGroup{.shape = shape, .first_row = row, .first_probability = probability});
    row += shape.rows();
    probability += shape.rows() * context.description().heads * shape.tokens;
  }
}

at::Tensor RowsOf(const PlacedGroup& group, const at::Tensor& rows) {
  return rows.narrow(0, group.first_row, group.shape.rows());
}

// Heads [first, first + count) of a group's rows in a fused tensor: a view [sequences, count,
// tokens, head_size].
at::Tensor HeadsOf(const BlockContext& context, const PlacedGroup& group, const at::Tensor& fused,
                   int64_t first, int64_t count) {
  return RowsOf(group, fused)
      .view({group.shape.sequences, group.shape.tokens, -1, context.description().head_size})
      .narrow(2, first, count)
      .transpose(1, 2);
}

// The same heads in the form that products read. A query head with its own keys and values is read
// in the fused tensor; heads that share them are copied, so that Grouped is a view.
at::Tensor ReadableHeads(const BlockContext& context, const PlacedGroup& group,
                         const at::Tensor& fused, int64_t first, int64_t count) {
  const at::Tensor heads = HeadsOf(context, group, fused, first, count);
  return context.description().shares_keys() ? heads.contiguous() : heads;
}

// A view of [sequences, heads, tokens, columns] in which the heads that share keys and values are
// stacked: [sequences, kv_heads, shared * tokens, columns]. Head h reads KV head h / shared, so the
// memory is the same.
at::Tensor Grouped(const models::LayerDescription& layer, const at::Tensor& x) {
  const int64_t shared = layer.heads / layer.kv_heads;
  return x.view({x.size(0), x.size(1) / shared, shared * x.size(2), x.size(3)});
}

// Rows of queries times a matrix of their KV head: left: [sequences, heads, tokens, terms]; right:
// [sequences, kv_heads, terms, columns] → [sequences, heads, tokens, columns].
at::Tensor QueryProduct(const models::LayerDescription& layer, const at::Tensor& left,
                        const at::Tensor& right, const CausalMask& mask) {
  return BatchProduct(Grouped(layer, left), right, mask)
      .view({left.size(0), left.size(1), left.size(2), right.size(3)});
}

// Writes this product to `out`, heads of a fused tensor.
void QueryProductInto(const models::LayerDescription& layer, const at::Tensor& left,
                      const at::Tensor& right, const CausalMask& mask, const at::Tensor& out) {
  if (layer.shares_keys()) {
    out.copy_(QueryProduct(layer, left, right, mask));
  } else {
    BatchProductInto(left, right, mask, out);
  }
}

// The part of a product of `tokens` queries with `seen` keys, the last of which are their own, that
// causal attention leaves out.
CausalMask MaskOf(CausalMask::Part part, int64_t tokens, int64_t seen) {
  return {.part = part, .queries = tokens, .diagonal = seen - tokens};
}

// Scores of every query with the keys that it sees; the other scores are unspecified. query:
// [sequences, heads, tokens, head_size]; key: [sequences, kv_heads, seen, head_size] → [sequences,
// heads, tokens, seen].
at::Tensor Scores(const models::LayerDescription& layer, const at::Tensor& query,
                  const at::Tensor& key) {
  at::Tensor scores = QueryProduct(layer, query, key.transpose(2, 3),
                                   MaskOf(CausalMask::Part::kResult, query.size(2), key.size(2)));
  if (layer.attention_softcap > 0.0) {
    CapInPlace(layer.attention_softcap, scores);
  }
  return scores;
}

ProbabilityDropout DropoutOf(const BlockContext& context, const PlacedGroup& group) {
  return {.state = context.dropout,
          .layer = context.layer,
          .rate = context.config.attention_dropout,
          .first_element = group.first_probability};
}

// Adds new keys or values, [1, kv_heads, tokens, head_size], to those of the slot and returns all
// of them: [1, kv_heads, seen, head_size], a view.
at::Tensor Append(const at::Tensor& cached, int64_t filled, const at::Tensor& added) {
  const int64_t tokens = added.size(2);
  cached.narrow(1, filled, tokens).copy_(added[0]);
  return cached.narrow(1, 0, filled + tokens).unsqueeze(0);
}

// x: [sequences, heads, tokens, head_size], rotated in place, each token by its own position.
void RotateHeads(const BlockContext& context, const SequenceGroup& group, Turn turn,
                 const at::Tensor& x) {
  for (const Stretch& stretch : StretchesOf(group)) {
    at::Tensor part = x.narrow(2, stretch.begin, stretch.tokens);
    Rotate(*context.rotary, stretch.first_position, turn, part);
  }
}

// Rounds each row of [..., head_size] to int8 times its own scale, max|x| / 127, stored as floats.
at::Tensor RoundedToInt8(const at::Tensor& x) {
  constexpr double kCodeMax = 127.0;
  constexpr double kLeastScale = 1e-30;  // divisor for a row of zeros
  const at::Tensor scale =
      x.abs().amax(-1, /*keepdim=*/true).div_(kCodeMax).clamp_min_(kLeastScale);
  return x.div(scale).round_().mul_(scale);
}

// Fills the group's rows of `out`; the first group allocates it.
void GroupForward(const BlockContext& context, const PlacedGroup& group, const at::Tensor& qkv,
                  GroupActivations* saved, at::Tensor& out) {
  const models::LayerDescription& layer = context.description();
  const SequenceGroup& shape = group.shape;
  at::Tensor query = ReadableHeads(context, group, qkv, 0, layer.heads).mul_(layer.query_scale());
  at::Tensor key = ReadableHeads(context, group, qkv, layer.heads, layer.kv_heads);
  at::Tensor value;
  if (context.rotary != nullptr) {
    RotateHeads(context, shape, Turn::kForward, query);
    RotateHeads(context, shape, Turn::kForward, key);
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
    WATTLE_CHECK(context.groups.size() == 1 && shape.sequences == 1 && saved == nullptr,
                 "a cached block serves one sequence");
    const int64_t filled = shape.first_position;
    key = Append(context.cache->Keys(context.layer, context.slot), filled, key);
    value = Append(context.cache->Values(context.layer, context.slot), filled,
                   rounded(HeadsOf(context, group, qkv, first_value, layer.kv_heads)));
  } else {
    value = rounded(ReadableHeads(context, group, qkv, first_value, layer.kv_heads));
  }
  if (saved != nullptr) {  // products of both passes read the factors
    query = Factor(query);
    key = Factor(key);
    value = Factor(value);
  }
  at::Tensor probabilities = Scores(layer, query, key);
  const at::Tensor dropped =
      MaskedSoftmax(FactorsOfThread(), SeenKeysOf(shape, key.size(2), layer.window),
                    DropoutOf(context, group), probabilities);
  if (saved != nullptr) {
    *saved = {query, key, value, {}};
    if (OperationsOn(qkv).keeps_probabilities()) {
      saved->probabilities = probabilities;
    }
  }
  probabilities.reset();
  if (!out.defined()) {
    out = at::empty({qkv.size(0), layer.attention_width()}, qkv.options());
  }
  QueryProductInto(layer, dropped, value,
                   MaskOf(CausalMask::Part::kLeft, shape.tokens, key.size(2)),
                   HeadsOf(context, group, out, 0, layer.heads));
}

// Fills the group's rows of grad_qkv; the first group allocates it.
void GroupBackward(const BlockContext& context, const PlacedGroup& group,
                   const GroupActivations& saved, const at::Tensor& grad_out,
                   at::Tensor& grad_qkv) {
  const models::LayerDescription& layer = context.description();
  const SequenceGroup& shape = group.shape;
  if (!grad_qkv.defined()) {
    grad_qkv = at::empty({grad_out.size(0), layer.qkv_rows()}, grad_out.options());
  }
  const at::Tensor grad_query = HeadsOf(context, group, grad_qkv, 0, layer.heads);
  const at::Tensor grad_key = HeadsOf(context, group, grad_qkv, layer.heads, layer.kv_heads);
  const at::Tensor grad_value =
      HeadsOf(context, group, grad_qkv, layer.heads + layer.kv_heads, layer.kv_heads);
  const at::Tensor grad_heads = Factor(ReadableHeads(context, group, grad_out, 0, layer.heads));
  const auto mask = [&](CausalMask::Part part) { return MaskOf(part, shape.tokens, shape.tokens); };
  at::Tensor grad_scores =
      QueryProduct(layer, grad_heads, saved.value.transpose(2, 3), mask(CausalMask::Part::kResult));
  // The softcap's gradient multiplies them once more before a product reads them.
  const kernels::FactorType factors =
      layer.attention_softcap > 0.0 ? kernels::FactorType::kFloat32 : FactorsOfThread();
  at::Tensor rows =
      saved.probabilities.defined() ? saved.probabilities : Scores(layer, saved.query, saved.key);
  const at::Tensor dropped =
      MaskedSoftmaxBackward(factors, SeenKeysOf(shape, shape.tokens, layer.window),
                            DropoutOf(context, group), rows, grad_scores);
  rows.reset();
  // For heads that share keys and values, the products sum the gradients.
  BatchProductInto(Grouped(layer, dropped).transpose(2, 3), Grouped(layer, grad_heads),
                   mask(CausalMask::Part::kLeftTransposed), grad_value);
  if (layer.attention_softcap > 0.0) {
    // d(cap tanh(s / cap)) / ds = 1 - tanh²; the scores are recomputed rather than kept. All of
    // them, because they are multiplied by the zeros of unseen keys.
    const at::Tensor tangent = QueryProduct(layer, saved.query, saved.key.transpose(2, 3), {})
                                   .div_(layer.attention_softcap)
                                   .tanh_();
    grad_scores.sub_(grad_scores * tangent.square_());
  }
  QueryProductInto(layer, grad_scores, saved.key, mask(CausalMask::Part::kLeft), grad_query);
  grad_query.mul_(layer.query_scale());
  BatchProductInto(Grouped(layer, grad_scores).transpose(2, 3), Grouped(layer, saved.query),
                   mask(CausalMask::Part::kLeftTransposed), grad_key);
  if (context.rotary != nullptr) {
    RotateHeads(context, shape, Turn::kBack, grad_query);
    RotateHeads(context, shape, Turn::kBack, grad_key);
  }
}

}  // namespace

at::Tensor AttentionForward(const BlockContext& context, const at::Tensor& qkv,
                            AttentionActivations* saved) {
  if (saved != nullptr) {
    saved->resize(context.groups.size());
  }
  at::Tensor out;
  ForEachGroup(context, [&](size_t index, const PlacedGroup& group) {
    GroupForward(context, group, qkv, saved == nullptr ? nullptr : &(*saved)[index], out);
  });
  return out;
}

at::Tensor AttentionBackward(const BlockContext& context, const AttentionActivations& saved,
                             const at::Tensor& grad_out) {
  at::Tensor grad_qkv;
  ForEachGroup(context, [&](size_t index, const PlacedGroup& group) {
    GroupBackward(context, group, saved[index], grad_out, grad_qkv);
  });
  return grad_qkv;
}

}  // namespace wattle::engine
