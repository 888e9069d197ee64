// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keys and values of the tokens processed by decode steps: one allocation for all layers, one slot
// per sequence, each slot with its own length. FP32, or int8 with one scale for each position of
// each head, which takes a quarter of the bytes.
//
// Layout of one head of one slot, for capacity C (a multiple of 16) and head size D: keys in panels
// of 16 positions, FP32 [C / 16][D][16], int8 [C / 16][D / 4][16][4]; values position by position,
// [C][D]. Different heads and slots may be written by different threads.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_KV_CACHE_H_
#define WATTLE_WORKER_ENGINE_KERNELS_KV_CACHE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/kernels/instruction_set.h"

namespace wattle::kernels {

enum class KvFormat : uint8_t { kFloat32, kInt8 };

// The heads of one layer's keys and values.
struct KvLayerShape {
  int64_t kv_heads = 0;
  int64_t head_size = 0;  // a multiple of 16
};

// One head of one slot in one layer.
struct KvHead {
  void* keys = nullptr;
  void* values = nullptr;
  float* key_scales = nullptr;    // [capacity], only for int8
  float* value_scales = nullptr;  // [capacity], only for int8
  int64_t head_size = 0;
  KvFormat format = KvFormat::kFloat32;

  // Writes position `position`. key, value: [head_size].
  void Write(const KernelTable& kernels, int64_t position, const float* key, const float* value);
};

class KvCache {
 public:
  // Room for `slots` sequences of `capacity` tokens (rounded up to a multiple of 16) each. memory:
  // source of the bytes (AlignedBuffer).
  KvCache(KvFormat format, absl::Span<const KvLayerShape> layers, int64_t slots, int64_t capacity,
          std::pmr::memory_resource& memory = HugePageHeap());

  [[nodiscard]] KvFormat format() const { return format_; }
  [[nodiscard]] int64_t slots() const { return static_cast<int64_t>(lengths_.size()); }
  [[nodiscard]] int64_t capacity() const { return capacity_; }
  [[nodiscard]] int64_t bytes() const { return storage_.size(); }

  // Number of tokens in the slot's sequence so far.
  [[nodiscard]] int64_t length(int64_t slot) const { return lengths_[static_cast<size_t>(slot)]; }
  void set_length(int64_t slot, int64_t tokens) { lengths_[static_cast<size_t>(slot)] = tokens; }

  [[nodiscard]] KvHead Head(int64_t layer, int64_t slot, int64_t head);

  // Bytes of a cache, without allocating it.
  [[nodiscard]] static int64_t BytesOf(KvFormat format, absl::Span<const KvLayerShape> layers,
                                       int64_t slots, int64_t capacity);

 private:
  struct LayerPlace {
    KvLayerShape shape;
    int64_t offset = 0;      // keys of slot 0, head 0
    int64_t head_bytes = 0;  // bytes of one head of one slot
  };

  KvFormat format_;
  int64_t capacity_;
  std::vector<LayerPlace> layers_;
  std::vector<int64_t> lengths_;  // by slot
  AlignedBuffer storage_;
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_KV_CACHE_H_
