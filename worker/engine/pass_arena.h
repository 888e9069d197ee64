// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One region of memory for the tensors of a pass, in place of the heap: what a pass takes is then
// what its plan says (models/tensor_plan.h), no freed tensor stays resident between others, pages
// are touched once and not for every step, and all of it goes back with the arena. Tensors of the
// CPU that a thread makes while it is in a Scope come from the arena. A tensor for which there is
// no room comes from the heap and is counted: a plan that is too small costs memory, no result.
// Buffers of kernels take memory of the arena as of any memory resource.
//
// One thread at a time is in an arena's scope; any thread may let a tensor go.
#ifndef WATTLE_WORKER_ENGINE_PASS_ARENA_H_
#define WATTLE_WORKER_ENGINE_PASS_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <mutex>
#include <vector>

#include "models/best_fit.h"

namespace wattle::engine {

// A tensor as the arena saw it, with the numbers of the events that made it and let it go.
struct ArenaTensor {
  int64_t size_bytes = 0;
  int64_t first_use = 0;
  int64_t last_use = -1;  // -1: still there
};

struct ArenaFigures {
  int64_t peak_bytes = 0;    // in use at once
  int64_t extent_bytes = 0;  // of the region that was ever used
  int64_t heap_tensors = 0;  // that found no room
  int64_t in_use_bytes = 0;
};

class PassArena final : public std::pmr::memory_resource {
 public:
  // Takes address space alone: memory is taken when it is written.
  explicit PassArena(int64_t capacity_bytes);
  // Every tensor of the arena was let go.
  ~PassArena() override;
  PassArena(const PassArena&) = delete;
  PassArena& operator=(const PassArena&) = delete;

  class Scope {
   public:
    explicit Scope(PassArena& arena);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PassArena* outer_;
  };

  // Gives the memory back and keeps the address space. No tensor is in use.
  void ReleaseMemory();
  // Asks for huge pages, for what is read from end to end again and again. Before the first touch.
  void PreferHugePages();

  // 0 where there was no address space.
  [[nodiscard]] int64_t capacity_bytes() const { return capacity_bytes_; }
  [[nodiscard]] ArenaFigures figures() const;
  // Notes tensors from now on; for tests.
  void Record(std::vector<ArenaTensor>* record);

  // For the allocator: null where there is no room. Memory is aligned to a line of the cache.
  void* Allocate(size_t bytes);
  void Free(void* memory);

 private:
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void* memory, size_t bytes, size_t alignment) override;
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }

  mutable std::mutex mutex_;  // guards everything below
  std::byte* region_ = nullptr;
  int64_t capacity_bytes_;
  models::BestFit blocks_;
  int64_t heap_tensors_ = 0;
  std::vector<ArenaTensor>* record_ = nullptr;
  std::map<int64_t, size_t> recorded_;  // offset → its entry in the record
  int64_t events_ = 0;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_PASS_ARENA_H_
