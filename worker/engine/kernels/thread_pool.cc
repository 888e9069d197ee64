// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/thread_pool.h"

#include <chrono>

#include "base/check.h"

namespace wattle::kernels {
namespace {

// How long a thread looks before it sleeps: several times what lies between two phases of a decode
// step, and far below a slice of the scheduler.
constexpr std::chrono::microseconds kSpinTime{50};
constexpr int kPausesOfLook = 8;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether `happened` became true while it was looked at.
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

constexpr uint64_t Ticket(uint32_t region, uint32_t chunks) {
  return (static_cast<uint64_t>(region) << 32) | chunks;
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
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
  const auto count = static_cast<uint32_t>(chunks);
  body_ = &body;
  unfinished_.store(count, std::memory_order_relaxed);
  const uint32_t region = region_.load(std::memory_order_relaxed) + 1;
  ticket_.store(Ticket(region, count), std::memory_order_release);
  // Sequentially consistent, as are the sleepers' steps: either this thread sees the sleeper, or
  // the sleeper sees the new region.
  region_.store(region);
  if (sleepers_.load() > 0) {
    region_.notify_all();
  }
  TakeChunks(0);
  WaitUntilDone();
}

void ThreadPool::TakeChunks(int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  const uint64_t region = ticket >> 32;
  while (ticket >> 32 == region && (ticket & 0xFFFFFFFFU) > 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) {
      continue;
    }
    (*body_)(static_cast<int64_t>((ticket & 0xFFFFFFFFU) - 1), thread);
    // Once the last chunk is counted the region may end: nothing of it is touched afterwards.
    if (unfinished_.fetch_sub(1) == 1 && thread != 0 && caller_sleeps_.load()) {
      unfinished_.notify_one();
    }
    ticket = ticket_.load(std::memory_order_acquire);
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
