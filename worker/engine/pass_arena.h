// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One region of memory for the tensors of a pass, in place of the heap: a pass then takes exactly
// the memory of its plan (models/tensor_plan.h), no freed tensor stays resident between others,
// pages are touched once and not for every step, and all memory is returned with the arena. Tensors
// on the CPU that a thread makes while it is in a Scope come from the arena. A tensor that finds no
// room comes from the heap and is counted: a plan that is too small costs memory, but not the
// result. Kernels' buffers can use the arena as a memory resource.
//
// Only one thread at a time may be in an arena's scope; any thread may free a tensor.
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

// A tensor as recorded by the arena, with the numbers of the events that made and freed it.
struct ArenaTensor {
  int64_t size_bytes = 0;
  int64_t first_use = 0;
  int64_t last_use = -1;  // -1: still alive
};

struct ArenaFigures {
  int64_t peak_bytes = 0;    // maximum in use at the same time
  int64_t extent_bytes = 0;  // used extent of the region
  int64_t heap_tensors = 0;  // tensors that found no room
  int64_t in_use_bytes = 0;
};

class PassArena final : public std::pmr::memory_resource {
 public:
  // Only reserves address space: memory is allocated when it is written.
  explicit PassArena(int64_t capacity_bytes);
  // Every tensor of the arena must have been freed.
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

  // Returns the memory and keeps the address space. No tensor may be in use.
  void ReleaseMemory();
  // Requests huge pages, for data that is read repeatedly from end to end. Call before the first
  // touch.
  void PreferHugePages();

  // 0 if no address space was available.
  [[nodiscard]] int64_t capacity_bytes() const { return capacity_bytes_; }
  [[nodiscard]] ArenaFigures figures() const;
  // Records tensors from now on; for tests.
  void Record(std::vector<ArenaTensor>* record);

  // For the allocator: null if there is no room. Memory is aligned to a cache line.
  void* Allocate(size_t bytes);
  void Free(void* memory);

 private:
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void* memory, size_t bytes, size_t alignment) override;
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }

  mutable std::mutex mutex_;  // guards all members below
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
