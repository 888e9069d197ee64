// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/kv_cache.h"

#include <cstring>

#include "base/check.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kPositions = 16;  // in one panel of keys

int64_t RoundUpToPanel(int64_t tokens) {
  return (tokens + kPositions - 1) / kPositions * kPositions;
}

// Keys and values of one head, then their scales if the format has any.
int64_t HeadBytes(KvFormat format, int64_t head_size, int64_t capacity) {
  return format == KvFormat::kInt8 ? 2 * capacity * (head_size + kFloatBytes)
                                   : 2 * capacity * head_size * kFloatBytes;
}

// One int8 row and its scale.
float Quantize(const KernelTable& kernels, const float* values, int64_t count, int8_t* codes) {
  float scale = 0.0F;
  int32_t sum = 0;
  kernels.quantize_input({.values = values,
                          .columns = count,
                          .group = count,
                          .codes = codes,
                          .code_stride = count,
                          .scales = &scale,
                          .sums = &sum});
  return scale;
}

}  // namespace

void KvHead::Write(const KernelTable& kernels, int64_t position, const float* key,
                   const float* value) {
  const int64_t panel = position / kPositions * kPositions * head_size;
  const int64_t lane = position % kPositions;
  if (format == KvFormat::kFloat32) {
    float* to = static_cast<float*>(keys) + panel + lane;
    for (int64_t d = 0; d < head_size; ++d) {
      to[d * kPositions] = key[d];
    }
    std::memcpy(static_cast<float*>(values) + position * head_size, value,
                static_cast<size_t>(head_size * kFloatBytes));
    return;
  }
  int8_t codes[kMaxHeadSize];
  key_scales[position] = Quantize(kernels, key, head_size, codes);
  int8_t* to = static_cast<int8_t*>(keys) + panel + lane * 4;
  for (int64_t d = 0; d < head_size; d += 4) {
    std::memcpy(to + d * kPositions, codes + d, 4);
  }
  value_scales[position] =
      Quantize(kernels, value, head_size, static_cast<int8_t*>(values) + position * head_size);
}

int64_t KvCache::BytesOf(KvFormat format, absl::Span<const KvLayerShape> layers, int64_t slots,
                         int64_t capacity) {
  int64_t bytes = 0;
  for (const KvLayerShape& layer : layers) {
    bytes += slots * layer.kv_heads * HeadBytes(format, layer.head_size, RoundUpToPanel(capacity));
  }
  return bytes;
}

KvCache::KvCache(KvFormat format, absl::Span<const KvLayerShape> layers, int64_t slots,
                 int64_t capacity, std::pmr::memory_resource& memory)
    : format_(format),
      capacity_(RoundUpToPanel(capacity)),
      lengths_(static_cast<size_t>(slots), 0),
      storage_(BytesOf(format, layers, slots, capacity), memory) {
  int64_t offset = 0;
  for (const KvLayerShape& shape : layers) {
    WATTLE_CHECK(shape.head_size % 16 == 0 && shape.head_size <= kMaxHeadSize,
                 "the caller checked the shape of the heads");
    const int64_t head_bytes = HeadBytes(format, shape.head_size, capacity_);
    layers_.push_back({.shape = shape, .offset = offset, .head_bytes = head_bytes});
    offset += slots * shape.kv_heads * head_bytes;
  }
}

KvHead KvCache::Head(int64_t layer, int64_t slot, int64_t head) {
  const LayerPlace& place = layers_[static_cast<size_t>(layer)];
  const int64_t size = place.shape.head_size;
  const int64_t start = place.offset + (slot * place.shape.kv_heads + head) * place.head_bytes;
  const int64_t element = format_ == KvFormat::kInt8 ? 1 : kFloatBytes;
  const int64_t values = start + capacity_ * size * element;
  KvHead out{.keys = storage_.data() + start,
             .values = storage_.data() + values,
             .head_size = size,
             .format = format_};
  if (format_ == KvFormat::kInt8) {
    const int64_t scales = values + capacity_ * size;
    out.key_scales = storage_.as<float>(scales);
    out.value_scales = storage_.as<float>(scales + capacity_ * kFloatBytes);
  }
  return out;
}

}  // namespace wattle::kernels
