// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"

namespace wattle::kernels {
namespace {

constexpr int64_t kHugePage = 2 << 20;
constexpr int64_t kLine = 64;
constexpr int kCollapse = 25;  // MADV_COLLAPSE of Linux 6.1, which Debian 12's headers lack

int64_t RoundUpTo(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

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
  // A refusal costs speed alone, so nobody needs to know.
  if (madvise(place, length, MADV_HUGEPAGE) == 0) {
    (void)madvise(place, length, kCollapse);
  }
}

AlignedBuffer::AlignedBuffer(int64_t bytes) : bytes_(bytes) {
  WATTLE_CHECK(bytes >= 0, "a buffer has no negative size");
  const int64_t alignment = bytes >= kHugePage ? kHugePage : kLine;
  const int64_t rounded = RoundUpTo(bytes == 0 ? 1 : bytes, alignment);
  void* memory = std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(rounded));
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  memory_.reset(static_cast<std::byte*>(memory));
  if (rounded >= kHugePage) {
    // Before the first touch, so that pages are huge from the start.
    (void)madvise(memory, static_cast<size_t>(rounded), MADV_HUGEPAGE);
  }
  std::memset(memory, 0, static_cast<size_t>(rounded));
}

void AlignedBuffer::Free::operator()(std::byte* memory) const {
  std::free(memory);
}

}  // namespace wattle::kernels
