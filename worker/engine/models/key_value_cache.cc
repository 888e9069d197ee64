// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/key_value_cache.h"

#include <c10/core/TensorOptions.h>

#include "base/check.h"
#include "worker/engine/device/device.h"

namespace wattle::engine {

KeyValueCache::KeyValueCache(const models::DecoderConfig& config, int64_t slots,
                             int64_t capacity_tokens, at::Device device)
    : lengths_(static_cast<size_t>(slots), 0), capacity_tokens_(capacity_tokens) {
  int64_t elements = 0;
  for (const models::LayerDescription& layer : config.layers) {
    layers_.push_back(
        {.offset = elements, .kv_heads = layer.kv_heads, .head_size = layer.head_size});
    elements += 2 * slots * layer.kv_heads * capacity_tokens * layer.head_size;
  }
  storage_ =
      OperationsOn(device).SessionMemory(elements, at::TensorOptions(at::kFloat).device(device));
}

at::Tensor KeyValueCache::Part(int64_t layer, int64_t slot, int64_t part) const {
  const LayerPlace& place = layers_[static_cast<size_t>(layer)];
  const int64_t size = place.kv_heads * capacity_tokens_ * place.head_size;
  return storage_.narrow(0, place.offset + (2 * slot + part) * size, size)
      .view({place.kv_heads, capacity_tokens_, place.head_size});
}

void KeyValueCache::Advance(int64_t slot, int64_t tokens) {
  int64_t& length = lengths_[static_cast<size_t>(slot)];
  WATTLE_CHECK(length + tokens <= capacity_tokens_, "the cache is made for the whole sequence");
  length += tokens;
}

}  // namespace wattle::engine
