// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keys and values of the tokens of generation: one allocation for all layers and all sequences.
// Each sequence has a slot, and each slot its own length. Not thread-safe.
#ifndef WATTLE_WORKER_ENGINE_MODELS_KEY_VALUE_CACHE_H_
#define WATTLE_WORKER_ENGINE_MODELS_KEY_VALUE_CACHE_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"

namespace wattle::engine {

class KeyValueCache {
 public:
  // Room for `slots` sequences of capacity_tokens each.
  KeyValueCache(const models::DecoderConfig& config, int64_t slots, int64_t capacity_tokens,
                at::Device device);

  [[nodiscard]] int64_t slots() const { return static_cast<int64_t>(lengths_.size()); }
  [[nodiscard]] int64_t capacity_tokens() const { return capacity_tokens_; }
  // Number of tokens in the slot's sequence so far.
  [[nodiscard]] int64_t length(int64_t slot) const { return lengths_[static_cast<size_t>(slot)]; }

  // float [kv_heads, capacity_tokens, head_size], views; the first length(slot) tokens are filled.
  [[nodiscard]] at::Tensor Keys(int64_t layer, int64_t slot) const { return Part(layer, slot, 0); }
  [[nodiscard]] at::Tensor Values(int64_t layer, int64_t slot) const {
    return Part(layer, slot, 1);
  }

  // Records that every layer has written the keys and values of `tokens` more tokens.
  void Advance(int64_t slot, int64_t tokens);
  // Empties the slot for another sequence.
  void Clear(int64_t slot) { lengths_[static_cast<size_t>(slot)] = 0; }

 private:
  [[nodiscard]] at::Tensor Part(int64_t layer, int64_t slot, int64_t part) const;

  struct LayerPlace {
    int64_t offset = 0;  // offset in floats, for slot 0's keys
    int64_t kv_heads = 0;
    int64_t head_size = 0;
  };
  std::vector<LayerPlace> layers_;
  std::vector<int64_t> lengths_;  // by slot
  int64_t capacity_tokens_ = 0;
  at::Tensor storage_;  // float: by layer, slot, keys before values
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_KEY_VALUE_CACHE_H_
