// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The only set of threads for kernels. A region is a number of chunks, and each thread has a slice
// of them, which it processes from the front, so that it reads memory in one sweep. A thread that
// has finished its slice takes chunks from the end of another slice. The region ends when all
// chunks are done, not when all threads have arrived, so a thread that the system has preempted
// delays the others by at most the one chunk that it has taken.
//
// Between two regions the pool's threads spin for a short while and then sleep: the phases of one
// decode step follow each other without a system call, and an idle pool costs nothing. The caller
// waits for the last chunks in the same way.
//
// One region at a time: ParallelFor is called by one thread, never from inside a chunk.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_THREAD_POOL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace wattle::kernels {

class ThreadPool {
 public:
  // threads: number of threads in a region, including the caller; at least 1. Starts threads - 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(chunk, thread) once for each chunk in [0, chunks); thread is in [0, threads()), and
  // no two calls with the same thread number overlap. Returns when all calls have returned; their
  // writes are visible to the caller and to the next region. chunks below 2^31.
  void ParallelFor(int64_t chunks, absl::FunctionRef<void(int64_t chunk, int thread)> body);

 private:
  using Body = absl::FunctionRef<void(int64_t chunk, int thread)>;

  // The untaken chunks of a slice: the first in the upper 32 bits, the end in the lower. A thread
  // takes a chunk by a compare-and-swap, and reads body_ afterwards; so body_ is read only by
  // threads that hold a chunk, and the region cannot end meanwhile.
  struct alignas(64) Slice {
    std::atomic<uint64_t> left{0};
  };
  enum class End { kFront, kBack };

  void Work(int thread);
  void TakeChunks(int thread);
  void TakeChunksOf(Slice& slice, End end, int thread);
  void WaitUntilDone();

  std::vector<Slice> slices_;                        // by thread
  alignas(64) std::atomic<uint32_t> unfinished_{0};  // chunks of the region not yet returned from
  alignas(64) std::atomic<uint32_t> region_{0};      // its number; idle threads wait on it
  std::atomic<int> sleepers_{0};                     // idle threads waiting in the kernel
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> stopping_{false};
  const Body* body_ = nullptr;
  std::vector<std::thread> workers_;
};

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_THREAD_POOL_H_
