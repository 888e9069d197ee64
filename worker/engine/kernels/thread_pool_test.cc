// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/thread_pool.h"

#include <atomic>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace wattle::kernels {
namespace {

TEST(ThreadPoolTest, EveryChunkRunsOnceInManyRegions) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    std::vector<int> runs(1000);  // written without atomics: regions and chunks must order them
    for (int region = 0; region < 3000; ++region) {
      const int64_t chunks = region % 37;
      pool.ParallelFor(chunks, [&](int64_t chunk, int thread) {
        ASSERT_GE(thread, 0);
        ASSERT_LT(thread, threads);
        ++runs[static_cast<size_t>(chunk)];
      });
    }
    for (int64_t chunk = 0; chunk < 37; ++chunk) {
      int wanted = 0;
      for (int region = 0; region < 3000; ++region) {
        wanted += chunk < region % 37 ? 1 : 0;
      }
      ASSERT_EQ(runs[static_cast<size_t>(chunk)], wanted) << threads << " threads, chunk " << chunk;
    }
  }
}

TEST(ThreadPoolTest, ARegionReadsWhatTheLastOneWrote) {
  ThreadPool pool(3);
  std::vector<int64_t> values(64, 1);
  std::vector<int64_t> next(64);
  for (int region = 0; region < 200; ++region) {
    pool.ParallelFor(64, [&](int64_t chunk, int) {
      const auto i = static_cast<size_t>(chunk);
      next[i] = values[(i + 1) % 64] + values[(i + 63) % 64] - values[i];
    });
    pool.ParallelFor(64, [&](int64_t chunk, int) {
      values[static_cast<size_t>(chunk)] = next[static_cast<size_t>(chunk)];
    });
  }
  for (const int64_t value : values) {
    EXPECT_EQ(value, 1);
  }
}

TEST(ThreadPoolTest, AThreadSweepsThroughItsSliceAndTakesOthersFromTheirEnd) {
  constexpr int kThreads = 3;
  constexpr int64_t kSlice = 20;
  ThreadPool pool(kThreads);
  for (int region = 0; region < 500; ++region) {
    std::vector<std::vector<int64_t>> taken(kThreads);
    pool.ParallelFor(kThreads * kSlice, [&](int64_t chunk, int thread) {
      taken[static_cast<size_t>(thread)].push_back(chunk);
    });
    for (int64_t thread = 0; thread < kThreads; ++thread) {
      std::vector<int64_t> last(kThreads, -1);  // by slice
      for (const int64_t chunk : taken[static_cast<size_t>(thread)]) {
        int64_t& before = last[static_cast<size_t>(chunk / kSlice)];
        if (before >= 0) {
          EXPECT_EQ(chunk > before, chunk / kSlice == thread) << "thread " << thread;
        }
        before = chunk;
      }
    }
  }
}

TEST(ThreadPoolTest, WorkIsSharedWhileOneThreadIsHeldUp) {
  // One chunk waits until all others are done, so another thread has to do those.
  ThreadPool pool(2);
  std::atomic<int> done{0};
  absl::Notification others_done;
  std::atomic<bool> held{false};
  pool.ParallelFor(16, [&](int64_t, int) {
    if (!held.exchange(true)) {
      others_done.WaitForNotification();
      return;
    }
    if (done.fetch_add(1) == 14) {
      others_done.Notify();
    }
  });
  EXPECT_EQ(done.load(), 15);
}

TEST(ThreadPoolTest, StopsWhileItsThreadsSleep) {
  std::atomic<int> chunks = 0;
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(4);
    if (round % 2 == 0) {
      pool.ParallelFor(8, [&](int64_t, int) { ++chunks; });
    }
  }
  EXPECT_EQ(chunks, 25 * 8);
}

}  // namespace
}  // namespace wattle::kernels
