// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/thread_pool.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace wattle::kernels {
namespace {

// How long a thread spins before it sleeps: several times the gap between two phases of a decode
// step, and far below a time slice of the scheduler.
constexpr std::chrono::microseconds kSpinTime{50};
constexpr int kPausesOfLook = 8;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether `happened` became true while this thread spun.
template <typename Condition>
bool SpinUntil(const Condition& happened) {
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int pause = 0; pause < kPausesOfLook; ++pause) {
      if (happened()) {
        return true;
      }
      Pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

constexpr uint64_t Chunks(int64_t first, int64_t end) {
  return (static_cast<uint64_t>(first) << 32) | static_cast<uint64_t>(end);
}

}  // namespace

ThreadPool::ThreadPool(int threads) : slices_(static_cast<size_t>(std::max(threads, 1))) {
  WATTLE_CHECK(threads >= 1, "the caller is one of the threads");
  workers_.reserve(static_cast<size_t>(threads - 1));
  for (int thread = 1; thread < threads; ++thread) {
    workers_.emplace_back([this, thread] { Work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  region_.fetch_add(1);
  region_.notify_all();
  for (std::thread& worker : workers_) {
    worker.join();
  }
}

void ThreadPool::ParallelFor(int64_t chunks, Body body) {
  if (workers_.empty() || chunks <= 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      body(chunk, 0);
    }
    return;
  }
  WATTLE_CHECK(chunks < (int64_t{1} << 31), "a region has fewer than 2^31 chunks");
  body_ = &body;
  unfinished_.store(static_cast<uint32_t>(chunks), std::memory_order_relaxed);
  const int64_t threads = this->threads();
  for (int64_t thread = 0; thread < threads; ++thread) {
    slices_[static_cast<size_t>(thread)].left.store(
        Chunks(chunks * thread / threads, chunks * (thread + 1) / threads),
        std::memory_order_release);
  }
  // Sequentially consistent, like the sleepers' steps: either this thread sees the sleeper, or the
  // sleeper sees the new region.
  region_.fetch_add(1);
  if (sleepers_.load() > 0) {
    region_.notify_all();
  }
  TakeChunks(0);
  WaitUntilDone();
}

void ThreadPool::TakeChunks(int thread) {
  const auto own = static_cast<size_t>(thread);
  TakeChunksOf(slices_[own], End::kFront, thread);
  for (size_t other = 1; other < slices_.size(); ++other) {
    TakeChunksOf(slices_[(own + other) % slices_.size()], End::kBack, thread);
  }
}

void ThreadPool::TakeChunksOf(Slice& slice, End end, int thread) {
  uint64_t left = slice.left.load(std::memory_order_acquire);
  while (true) {
    const auto first = static_cast<int64_t>(left >> 32);
    const auto behind = static_cast<int64_t>(left & 0xFFFFFFFFU);
    if (first >= behind) {
      return;
    }
    const bool front = end == End::kFront;
    if (!slice.left.compare_exchange_weak(
            left, front ? Chunks(first + 1, behind) : Chunks(first, behind - 1),
            std::memory_order_acq_rel, std::memory_order_acquire)) {
      continue;
    }
    (*body_)(front ? first : behind - 1, thread);
    // Once the last chunk is counted the region may end: no thread accesses it afterwards.
    if (unfinished_.fetch_sub(1) == 1 && thread != 0 && caller_sleeps_.load()) {
      unfinished_.notify_one();
    }
    left = slice.left.load(std::memory_order_acquire);
  }
}

void ThreadPool::WaitUntilDone() {
  if (SpinUntil([this] { return unfinished_.load(std::memory_order_acquire) == 0; })) {
    return;
  }
  caller_sleeps_.store(true);
  for (uint32_t left = unfinished_.load(); left != 0; left = unfinished_.load()) {
    unfinished_.wait(left);
  }
  caller_sleeps_.store(false);
}

void ThreadPool::Work(int thread) {
  uint32_t seen = 0;
  while (true) {
    const bool changed =
        SpinUntil([this, seen] { return region_.load(std::memory_order_acquire) != seen; });
    if (!changed) {
      sleepers_.fetch_add(1);
      region_.wait(seen);
      sleepers_.fetch_sub(1);
      continue;
    }
    if (stopping_.load()) {
      return;
    }
    seen = region_.load(std::memory_order_acquire);
    TakeChunks(thread);
  }
}

}  // namespace wattle::kernels
