// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory that kernels stream through: aligned to a cache line, and on huge pages if the system
// grants them, because a core's prefetcher stops at the end of a page and each small page costs a
// TLB miss.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ALIGNED_BUFFER_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>

namespace wattle::kernels {

inline constexpr int64_t kFloatBytes = 4;  // of an FP32 number

// Requests huge pages for memory owned elsewhere. Affects only whole huge pages inside the range;
// the contents stay. Does nothing if the system does not offer them.
void PreferHugePages(void* begin, int64_t bytes);

// The heap, with large buffers on huge pages. Lives until the process ends; thread-safe.
[[nodiscard]] std::pmr::memory_resource& HugePageHeap();

// Bytes that begin at a multiple of 64, initially zero. Movable; the bytes keep their address.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // memory: source of the bytes; must outlive the buffer.
  explicit AlignedBuffer(int64_t bytes, std::pmr::memory_resource& memory = HugePageHeap());

  [[nodiscard]] int64_t size() const { return size_; }
  [[nodiscard]] std::byte* data() { return bytes_.get(); }
  [[nodiscard]] const std::byte* data() const { return bytes_.get(); }

  // The bytes as an array of another type, from byte `offset` (a multiple of the type's alignment).
  template <typename Value>
  [[nodiscard]] Value* as(int64_t offset = 0) {
    return reinterpret_cast<Value*>(data() + offset);
  }

 private:
  struct GiveBack {
    void operator()(std::byte* bytes) const;
    std::pmr::memory_resource* memory;
    size_t size;
  };
  std::unique_ptr<std::byte, GiveBack> bytes_;
  int64_t size_ = 0;
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ALIGNED_BUFFER_H_
