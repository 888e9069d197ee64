// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/aligned_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kHugePage = 2 << 20;
constexpr int64_t kLine = 64;
constexpr int kCollapse = 25;  // MADV_COLLAPSE of Linux 6.1, missing from Debian 12's headers

int64_t RoundUpTo(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

class HeapOnHugePages final : public std::pmr::memory_resource {
  void* do_allocate(size_t bytes, size_t alignment) override {
    const auto size = static_cast<int64_t>(bytes);
    const bool large = size >= kHugePage;
    const int64_t multiple = large ? kHugePage : static_cast<int64_t>(alignment);
    const auto rounded = static_cast<size_t>(RoundUpTo(size, multiple));
    void* memory = std::aligned_alloc(static_cast<size_t>(multiple), rounded);
    if (memory == nullptr) {
      throw std::bad_alloc();
    }
    if (large) {
      // Before the first touch, so that pages are huge from the start.
      (void)madvise(memory, rounded, MADV_HUGEPAGE);
    }
    return memory;
  }
  void do_deallocate(void* memory, size_t /*bytes*/, size_t /*alignment*/) override {
    std::free(memory);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }
};

}  // namespace

void PreferHugePages(void* begin, int64_t bytes) {
  const auto first = reinterpret_cast<intptr_t>(begin);
  const intptr_t from = RoundUpTo(first, kHugePage);
  const intptr_t to = (first + bytes) / kHugePage * kHugePage;
  if (to <= from) {
    return;
  }
  auto* place = static_cast<char*>(begin) + (from - first);
  const auto length = static_cast<size_t>(to - from);
  // A refusal only costs speed, so it is not reported.
  if (madvise(place, length, MADV_HUGEPAGE) == 0) {
    (void)madvise(place, length, kCollapse);
  }
}

std::pmr::memory_resource& HugePageHeap() {
  static HeapOnHugePages& heap = *new HeapOnHugePages;
  return heap;
}

AlignedBuffer::AlignedBuffer(int64_t bytes, std::pmr::memory_resource& memory) : size_(bytes) {
  WATTLE_CHECK(bytes >= 0, "a buffer has no negative size");
  const auto size = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  auto* begin = static_cast<std::byte*>(memory.allocate(size, kLine));
  bytes_ = {begin, GiveBack{&memory, size}};
  std::memset(begin, 0, size);
}

void AlignedBuffer::GiveBack::operator()(std::byte* bytes) const {
  memory->deallocate(bytes, size, kLine);
}

}  // namespace wattle::kernels
