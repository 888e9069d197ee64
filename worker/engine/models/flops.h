// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The usual count of floating-point operations: per token 2 x matrix parameters (the head once, no
// position table) plus causal attention, and three times that for forward and backward. Skipped or
// repeated work is not counted, so the number depends only on shapes; it determines the pace of
// emulated devices. Pure.
#ifndef WATTLE_WORKER_ENGINE_MODELS_FLOPS_H_
#define WATTLE_WORKER_ENGINE_MODELS_FLOPS_H_

#include <cstdint>

#include "models/decoder_config.h"

namespace wattle::engine {

// Parameters that multiply a token: the linear layers of the blocks, and the head.
inline double MatrixParameters(const models::DecoderConfig& config) {
  const auto width = static_cast<double>(config.width);
  double count = static_cast<double>(config.vocabulary) * width;
  for (const models::LayerDescription& layer : config.layers) {
    count += width * static_cast<double>(layer.qkv_rows() + layer.attention_width() +
                                         layer.up_rows() + layer.mlp_width);
  }
  return count;
}

// Width of the heads of all layers together.
inline double AttentionWidths(const models::DecoderConfig& config) {
  double widths = 0.0;
  for (const models::LayerDescription& layer : config.layers) {
    widths += static_cast<double>(layer.attention_width());
  }
  return widths;
}

// A forward pass over `batch` sequences of `length` tokens.
inline double ForwardFlops(const models::DecoderConfig& config, int64_t batch, int64_t length) {
  const auto tokens = static_cast<double>(batch * length);
  // Scores and values: 2 x 2 x length x width, of which causality skips half.
  const double attention = 2.0 * static_cast<double>(length) * AttentionWidths(config);
  return tokens * (2.0 * MatrixParameters(config) + attention);
}

// Forward and backward. trained_layers: if more than 0, the backward pass covers only the last
// layers and the head, which has a gradient of its own if it is not tied.
inline double TrainingFlops(const models::DecoderConfig& config, int64_t batch, int64_t length,
                            int64_t trained_layers = 0) {
  const double forward = ForwardFlops(config, batch, length);
  if (trained_layers == 0) {
    return 3.0 * forward;
  }
  const double head = 2.0 * static_cast<double>(batch * length) *
                      static_cast<double>(config.vocabulary) * static_cast<double>(config.width);
  const double share =
      static_cast<double>(trained_layers) / static_cast<double>(config.layer_count());
  return forward + 2.0 * share * (forward - head) + (config.tied_embeddings ? 1.0 : 2.0) * head;
}

// One token at `position` (from 0) with a KV cache.
inline double DecodeFlops(const models::DecoderConfig& config, int64_t position) {
  const double attention = 4.0 * static_cast<double>(position + 1) * AttentionWidths(config);
  return 2.0 * MatrixParameters(config) + attention;
}

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_FLOPS_H_
