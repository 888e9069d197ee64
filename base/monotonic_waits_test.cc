// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The wall clock of this program runs ten days ahead of the kernel's, which equals the situation of
// a wait that began before the clock was set back by ten days. Without base/monotonic_waits.cc each
// test hangs.
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <gtest/gtest.h>

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  using ClockGettime = int (*)(clockid_t, timespec*);
  static const auto next = reinterpret_cast<ClockGettime>(dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = next(clock, now);
  if (clock == CLOCK_REALTIME) {
    now->tv_sec += 10 * 24 * 60 * 60;
  }
  return result;
}

// Abseil asks for the wall time in both ways.
extern "C" int gettimeofday(timeval* now, void* /*zone*/) noexcept {
  timespec exact = {};
  const int result = clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return result;
}

namespace wattle {
namespace {

constexpr absl::Duration kShort = absl::Milliseconds(20);

// The wall clock steps, so the tests ask the monotonic one.
absl::Duration Monotonic() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

TEST(MonotonicWaitsTest, AConditionIsAwaitedForTheTimeAskedFor) {
  absl::Mutex mutex;
  bool never = false;
  const absl::Duration begin = Monotonic();
  absl::MutexLock lock(&mutex);
  EXPECT_FALSE(mutex.AwaitWithTimeout(absl::Condition(&never), kShort));
  EXPECT_GE(Monotonic() - begin, kShort);
}

TEST(MonotonicWaitsTest, ANotificationIsAwaitedForTheTimeAskedFor) {
  absl::Notification never;
  EXPECT_FALSE(never.WaitForNotificationWithTimeout(kShort));
}

TEST(MonotonicWaitsTest, GrpcsWaitEndsAtItsDeadline) {
  // Waits like gRPC's timer thread.
  absl::Mutex mutex;
  absl::CondVar never;
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(never.WaitWithDeadline(&mutex, absl::Now() + kShort));
}

TEST(MonotonicWaitsTest, ADeadlineThatIsOverEndsTheWaitAtOnce) {
  absl::Mutex mutex;
  absl::CondVar never;
  absl::MutexLock lock(&mutex);
  EXPECT_TRUE(never.WaitWithDeadline(&mutex, absl::Now() - absl::Hours(1)));
}

TEST(MonotonicWaitsTest, AWaitThatIsNotifiedEndsBeforeItsTime) {
  absl::Mutex mutex;
  bool told = false;
  std::thread other([&mutex, &told] {
    absl::MutexLock lock(&mutex);
    told = true;
  });
  {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&told), absl::Hours(100'000)));
  }
  other.join();
}

}  // namespace
}  // namespace wattle
