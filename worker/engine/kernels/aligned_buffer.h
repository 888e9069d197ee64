// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory that kernels stream through: aligned to a line of the cache, and on huge pages where the
// system grants them, because a core's prefetcher stops at the end of a page and each small page
// costs a look-up.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ALIGNED_BUFFER_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace wattle::kernels {

// Asks the system for huge pages under memory that somebody else owns. Only whole huge pages inside
// the range are concerned; the contents stay. Does nothing where the system does not offer them.
void PreferHugePages(void* begin, int64_t bytes);

// Bytes that begin at a multiple of 64, zero at first. Movable; the bytes stay where they are.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t bytes);

  [[nodiscard]] int64_t size() const { return bytes_; }
  [[nodiscard]] std::byte* data() { return memory_.get(); }
  [[nodiscard]] const std::byte* data() const { return memory_.get(); }

  // The bytes as an array of another type, from byte `offset` (a multiple of the type's alignment).
  template <typename Value>
  [[nodiscard]] Value* as(int64_t offset = 0) {
    return reinterpret_cast<Value*>(data() + offset);
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> memory_;
  int64_t bytes_ = 0;
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ALIGNED_BUFFER_H_
