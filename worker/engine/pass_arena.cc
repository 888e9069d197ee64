// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/pass_arena.h"

#include <sys/mman.h>

#include <map>
#include <optional>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include "base/check.h"
#include "worker/engine/torch_version.h"

namespace wattle::engine {
namespace {

thread_local PassArena* arena_of_thread = nullptr;

// All arenas by the end of their regions.
class Regions {
 public:
  static Regions& Get() {
    static Regions& regions = *new Regions;
    return regions;
  }

  void Add(PassArena& arena, const std::byte* begin, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    by_end_[begin + bytes] = {begin, &arena};
  }
  void Remove(const std::byte* begin, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    by_end_.erase(begin + bytes);
  }
  // Null: the memory belongs to no arena.
  PassArena* ArenaAt(const void* memory) {
    const std::lock_guard lock(mutex_);
    const auto* place = static_cast<const std::byte*>(memory);
    const auto found = by_end_.upper_bound(place);
    return found != by_end_.end() && found->second.begin <= place ? found->second.arena : nullptr;
  }

 private:
  struct Region {
    const std::byte* begin;
    PassArena* arena;
  };
  std::mutex mutex_;
  std::map<const std::byte*, Region> by_end_;
};

at::DeleterFnPtr heap_deleter = nullptr;

// For memory from an arena or from the heap: libtorch's oneDNN allocates and frees raw memory.
void FreeMemory(void* memory) {
  PassArena* arena = Regions::Get().ArenaAt(memory);
  if (arena == nullptr) {
    heap_deleter(memory);
  } else {
    arena->Free(memory);
  }
}

// libtorch's allocator for the CPU, except for threads in a scope.
class ScopedAllocator final : public at::Allocator {
 public:
  explicit ScopedAllocator(at::Allocator& heap) : heap_(heap) {}

  at::DataPtr allocate(size_t bytes) WATTLE_TORCH_ALLOCATE_CONST override {
    void* memory =
        arena_of_thread == nullptr || bytes == 0 ? nullptr : arena_of_thread->Allocate(bytes);
    if (memory == nullptr) {
      return heap_.allocate(bytes);
    }
    return {memory, memory, &FreeMemory, at::Device(at::kCPU)};
  }
  [[nodiscard]] at::DeleterFnPtr raw_deleter() const override { return &FreeMemory; }
#ifdef WATTLE_TORCH_ALLOCATOR_COPIES
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
#endif

 private:
  at::Allocator& heap_;
};

// Once per process; the allocator stays until the process ends.
void InstallAllocator() {
  static const bool installed = [] {
    at::Allocator& heap = *c10::GetCPUAllocator();
    heap_deleter = heap.raw_deleter();
    WATTLE_CHECK(heap_deleter != nullptr, "libtorch's own allocator frees bare memory");
    c10::SetCPUAllocator(new ScopedAllocator(heap));
    return true;
  }();
  static_cast<void>(installed);
}

std::byte* Reserve(int64_t bytes) {
  if (bytes == 0) {
    return nullptr;
  }
  void* region = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return region == MAP_FAILED ? nullptr : static_cast<std::byte*>(region);
}

}  // namespace

PassArena::PassArena(int64_t capacity_bytes)
    : region_(Reserve(capacity_bytes)),
      // Without a region every tensor comes from the heap.
      capacity_bytes_(region_ == nullptr ? 0 : capacity_bytes),
      blocks_(capacity_bytes_) {
  InstallAllocator();
  if (region_ != nullptr) {
    Regions::Get().Add(*this, region_, capacity_bytes_);
  }
}

PassArena::~PassArena() {
  WATTLE_CHECK(blocks_.in_use_bytes() == 0, "no tensor outlives its arena");
  if (region_ != nullptr) {
    Regions::Get().Remove(region_, capacity_bytes_);
    munmap(region_, static_cast<size_t>(capacity_bytes_));
  }
}

PassArena::Scope::Scope(PassArena& arena) : outer_(arena_of_thread) {
  arena_of_thread = &arena;
}

PassArena::Scope::~Scope() {
  arena_of_thread = outer_;
}

void PassArena::ReleaseMemory() {
  const std::lock_guard lock(mutex_);
  WATTLE_CHECK(blocks_.in_use_bytes() == 0, "memory goes back between passes");
  if (region_ != nullptr) {
    // A refusal keeps the pages, which only costs memory.
    (void)madvise(region_, static_cast<size_t>(capacity_bytes_), MADV_DONTNEED);
  }
}

void PassArena::PreferHugePages() {
  const std::lock_guard lock(mutex_);
  if (region_ != nullptr) {
    // A refusal only costs speed.
    (void)madvise(region_, static_cast<size_t>(capacity_bytes_), MADV_HUGEPAGE);
  }
}

ArenaFigures PassArena::figures() const {
  const std::lock_guard lock(mutex_);
  return {.peak_bytes = blocks_.peak_bytes(),
          .extent_bytes = blocks_.extent_bytes(),
          .heap_tensors = heap_tensors_,
          .in_use_bytes = blocks_.in_use_bytes()};
}

void PassArena::Record(std::vector<ArenaTensor>* record) {
  const std::lock_guard lock(mutex_);
  record_ = record;
  recorded_.clear();
  events_ = 0;
}

void* PassArena::Allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto size = static_cast<int64_t>(bytes);
  const std::optional<int64_t> offset = blocks_.Allocate(size);
  if (!offset.has_value()) {
    ++heap_tensors_;
    return nullptr;
  }
  if (record_ != nullptr) {
    recorded_[*offset] = record_->size();
    record_->push_back({.size_bytes = size, .first_use = events_++});
  }
  return region_ + *offset;
}

void PassArena::Free(void* memory) {
  const std::lock_guard lock(mutex_);
  const int64_t offset = static_cast<std::byte*>(memory) - region_;
  blocks_.Free(offset);
  if (const auto entry = recorded_.find(offset); entry != recorded_.end()) {
    (*record_)[entry->second].last_use = events_++;
    recorded_.erase(entry);
  }
}

void* PassArena::do_allocate(size_t bytes, size_t alignment) {
  WATTLE_CHECK(alignment <= models::BestFit::kAlignment, "a buffer begins at a line of the cache");
  void* memory = Allocate(bytes);
  return memory == nullptr ? std::pmr::new_delete_resource()->allocate(bytes, alignment) : memory;
}

void PassArena::do_deallocate(void* memory, size_t bytes, size_t alignment) {
  const auto* place = static_cast<const std::byte*>(memory);
  if (region_ != nullptr && place >= region_ && place < region_ + capacity_bytes_) {
    Free(memory);
  } else {
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
}

}  // namespace wattle::engine
