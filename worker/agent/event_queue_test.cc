// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/event_queue.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

constexpr size_t kFrameBytes = size_t{1} << 20;

// Posts more than the queue holds. Returns how many events the owner finds each time that it takes
// them: the poster continues while the queue has room, and waits while it has none.
std::vector<size_t> TakenAtATime(size_t count, size_t size_bytes) {
  EventQueue queue;
  std::atomic<size_t> posted = 0;
  std::thread poster([&] {
    for (size_t i = 0; i < count; ++i) {
      queue.Post([](const Instant&) {}, size_bytes);
      ++posted;
    }
  });
  std::vector<size_t> taken;
  for (size_t all = 0; all < count; all += taken.back()) {
    taken.push_back(queue.TakeAll(Monotonic() + absl::InfiniteDuration()).size());
    EXPECT_LE(posted, all + taken.back() + 1 +
                          std::min(EventQueue::kEventsMax, EventQueue::kBytesMax / size_bytes));
  }
  poster.join();
  return taken;
}

TEST(EventQueueTest, WhoPostsMoreBytesThanTheLimitWaits) {
  constexpr size_t kFrames = 100;
  size_t all = 0;
  for (const size_t taken : TakenAtATime(kFrames, kFrameBytes)) {
    EXPECT_LE(taken, EventQueue::kBytesMax / kFrameBytes);
    all += taken;
  }
  EXPECT_EQ(all, kFrames) << "none is lost";
}

TEST(EventQueueTest, WhoPostsMoreEventsThanTheLimitWaits) {
  for (const size_t taken : TakenAtATime(3 * EventQueue::kEventsMax, 1)) {
    EXPECT_LE(taken, EventQueue::kEventsMax);
  }
}

TEST(EventQueueTest, AnEventAboveTheLimitIsTaken) {
  EventQueue queue;
  queue.Post([](const Instant&) {}, 2 * EventQueue::kBytesMax);
  EXPECT_EQ(queue.TakeAll(Monotonic()).size(), 1U);
  EXPECT_TRUE(queue.TakeAll(Monotonic()).empty()) << "a time that has passed is not waited for";
}

TEST(EventQueueTest, AClosedQueueTakesNothingAndKeepsNobodyWaiting) {
  EventQueue queue;
  queue.Post([](const Instant&) {}, 2 * EventQueue::kBytesMax);
  std::thread poster([&] { queue.Post([](const Instant&) {}); });
  queue.Close();
  poster.join();
  EXPECT_TRUE(queue.TakeAll(Monotonic()).empty());
}

}  // namespace
}  // namespace wattle::agent
