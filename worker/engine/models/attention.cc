// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/attention.h"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "base/check.h"

namespace wattle::engine {
namespace {

// float [tokens, seen]: 0 where query i may see key j, minus infinity elsewhere. The last `tokens`
// of `seen` are the queries.
at::Tensor CausalMask(int64_t tokens, int64_t seen, const at::TensorOptions& options) {
  return at::full({tokens, seen}, -std::numeric_limits<float>::infinity(), options)
      .triu_(seen - tokens + 1);
}

double QueryScale(const formats::DecoderConfig& config) {
  return 1.0 / std::sqrt(static_cast<double>(config.head_size()));
}

// [batch * tokens, 3 * width] → [3, batch * heads, tokens, head_size], contiguous.
at::Tensor SplitHeads(const formats::DecoderConfig& config, const SequenceShape& shape,
                      const at::Tensor& qkv) {
  return qkv.view({shape.batch, shape.tokens, 3, config.heads, config.head_size()})
      .permute({2, 0, 3, 1, 4})
      .contiguous()
      .view({3, shape.batch * config.heads, shape.tokens, config.head_size()});
}

// [batch * heads, tokens, head_size] → [batch * tokens, width].
at::Tensor MergeHeads(const formats::DecoderConfig& config, const SequenceShape& shape,
                      const at::Tensor& x) {
  return x.view({shape.batch, config.heads, shape.tokens, config.head_size()})
      .transpose(1, 2)
      .reshape({shape.batch * shape.tokens, config.width});
}

}  // namespace

at::Tensor AttentionForward(const BlockContext& context, const at::Tensor& qkv,
                            AttentionActivations* saved) {
  const formats::DecoderConfig& config = context.config;
  const SequenceShape& shape = context.shape;
  const at::Tensor heads = SplitHeads(config, shape, qkv);
  const at::Tensor query = heads[0].mul_(QueryScale(config));
  const at::Tensor key = heads[1];
  const at::Tensor value = heads[2];
  const at::Tensor mask = CausalMask(shape.tokens, shape.tokens, qkv.options());
  at::Tensor probabilities = at::_softmax(
      at::baddbmm(mask.unsqueeze(0), query, key.transpose(1, 2)), -1, /*half_to_float=*/false);
  if (saved != nullptr) {
    *saved = {query, key, value, probabilities};
  }
  if (context.dropout.active && config.attention_dropout > 0.0) {
    probabilities = probabilities.clone();
    DropCausalInPlace(context.dropout, context.layer, config.attention_dropout, probabilities);
  }
  return MergeHeads(config, shape, at::bmm(probabilities, value));
}

at::Tensor AttentionBackward(const BlockContext& context, const AttentionActivations& saved,
                             const at::Tensor& grad_out) {
  const formats::DecoderConfig& config = context.config;
  const SequenceShape& shape = context.shape;
  const int64_t sequences = shape.batch * config.heads;
  const at::Tensor grad_heads =
      grad_out.view({shape.batch, shape.tokens, config.heads, config.head_size()})
          .transpose(1, 2)
          .reshape({sequences, shape.tokens, config.head_size()});
  at::Tensor dropped = saved.probabilities;
  if (context.dropout.active && config.attention_dropout > 0.0) {
    dropped = dropped.clone();
    DropCausalInPlace(context.dropout, context.layer, config.attention_dropout, dropped);
  }
  const at::Tensor grad_value = at::bmm(dropped.transpose(1, 2), grad_heads);
  at::Tensor grad_probabilities = at::bmm(grad_heads, saved.value.transpose(1, 2));
  DropCausalInPlace(context.dropout, context.layer, config.attention_dropout, grad_probabilities);
  // Above the diagonal probabilities are 0, and so is the gradient of the scores whatever stands in
  // grad_probabilities.
  const at::Tensor grad_scores =
      at::_softmax_backward_data(grad_probabilities, saved.probabilities, -1, at::kFloat);
  const at::Tensor grad_query = at::bmm(grad_scores, saved.key).mul_(QueryScale(config));
  const at::Tensor grad_key = at::bmm(grad_scores.transpose(1, 2), saved.query);
  return at::stack({grad_query, grad_key, grad_value})
      .view({3, shape.batch, config.heads, shape.tokens, config.head_size()})
      .permute({1, 3, 0, 2, 4})
      .reshape({shape.batch * shape.tokens, 3 * config.width});
}

at::Tensor AttentionWithCache(const formats::DecoderConfig& config, const at::Tensor& qkv,
                              KeyValueCache& cache) {
  const SequenceShape shape{.batch = 1, .tokens = qkv.size(0)};
  const at::Tensor heads = SplitHeads(config, shape, qkv);
  const int64_t seen = cache.filled + shape.tokens;
  WATTLE_CHECK(seen <= cache.keys.size(1), "the cache is made for the whole sequence");
  cache.keys.narrow(1, cache.filled, shape.tokens).copy_(heads[1]);
  cache.values.narrow(1, cache.filled, shape.tokens).copy_(heads[2]);
  cache.filled = seen;
  const at::Tensor query = heads[0].mul_(QueryScale(config));
  const at::Tensor key = cache.keys.narrow(1, 0, seen);
  at::Tensor scores = at::bmm(query, key.transpose(1, 2));
  if (shape.tokens > 1) {
    scores.add_(CausalMask(shape.tokens, seen, qkv.options()));
  }
  const at::Tensor probabilities = at::_softmax(scores, -1, /*half_to_float=*/false);
  return MergeHeads(config, shape, at::bmm(probabilities, cache.values.narrow(1, 0, seen)));
}

}  // namespace wattle::engine
