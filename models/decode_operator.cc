// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/decode_operator.h"

#include <algorithm>

namespace wattle::models {

namespace {

// Of a head: one register's worth, and the operator's largest (worker/engine/kernels/isa).
constexpr int64_t kHeadSizeMultiple = 16;
constexpr int64_t kHeadSizeMax = 512;

}  // namespace

bool DecodeOperatorServes(const DecoderConfig& config) {
  const auto plain = [](const LayerDescription& layer) {
    return layer.residual == Residual::kSequential && !layer.inner_norms && !layer.post_norms &&
           layer.attention_softcap == 0.0 && layer.query_pre_attention_scalar == 0.0 &&
           layer.activation != Activation::kGeluErf && layer.head_size % kHeadSizeMultiple == 0 &&
           layer.head_size <= kHeadSizeMax;
  };
  return config.norm != Norm::kRmsNormPlusOne && config.embedding_scale == 1.0 &&
         config.logit_softcap == 0.0 && !config.sinusoidal_offset.has_value() &&
         std::all_of(config.layers.begin(), config.layers.end(), plain);
}

}  // namespace wattle::models
