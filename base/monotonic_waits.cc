// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A program with this file ends each timed wait after the time asked for, whatever happens to the
// wall clock. Every program of ours has it (cmake/wattle_library.cmake); nothing includes it.
//
// Debian's Abseil (20220623) turns "wait for 5 s" into "wait until 12:00:05" of the wall clock and
// hands this deadline to the kernel. If the clock is set back by ten days meanwhile, the wait takes
// ten days. gRPC's thread for timers waits in the same way: a worker would never connect again.
// Abseil asks the kernel through libc's `syscall`. The definition here overrides libc's: it
// converts a futex's deadline to monotonic time, and forwards every other call.
#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>

// NOLINTBEGIN(google-runtime-int,performance-no-int-to-ptr): libc declares it so.
namespace {

using Syscall = long (*)(long, ...);

Syscall FindLibcs() {
  return reinterpret_cast<Syscall>(dlsym(RTLD_NEXT, "syscall"));
}

// Found before main: a child between fork and exec calls `syscall` too, and must not search.
const Syscall kLibcsSyscall = FindLibcs();

// A library's initializer may run before ours.
Syscall Libcs() {
  return kLibcsSyscall != nullptr ? kLibcsSyscall : FindLibcs();
}

constexpr int64_t kNanosecondsOfSecond = 1'000'000'000;
constexpr int64_t kWaitSecondsMax = 1'000'000'000;  // 31 years: no sum below overflows

// The monotonic instant at which the wall clock would show `wall` if it were not set.
timespec InMonotonicTime(const timespec& wall) {
  timespec now_wall = {};
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now_wall);
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t seconds = std::clamp<int64_t>(wall.tv_sec - now_wall.tv_sec, -1, kWaitSecondsMax);
  int64_t left =
      std::max<int64_t>(seconds * kNanosecondsOfSecond + wall.tv_nsec - now_wall.tv_nsec, 0);
  left += now.tv_nsec;
  now.tv_sec += static_cast<time_t>(left / kNanosecondsOfSecond);
  now.tv_nsec = static_cast<decltype(now.tv_nsec)>(left % kNanosecondsOfSecond);
  return now;
}

}  // namespace

extern "C" long syscall(long number, ...) noexcept {
  va_list rest;
  va_start(rest, number);
  long arguments[6];
  for (long& argument : arguments) {
    argument = va_arg(rest, long);
  }
  va_end(rest);
  constexpr int kUntilWallTime = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME;
  timespec deadline = {};
  const auto* const wall = reinterpret_cast<const timespec*>(arguments[3]);
  if (number == SYS_futex && wall != nullptr &&
      (static_cast<int>(arguments[1]) & ~FUTEX_PRIVATE_FLAG) == kUntilWallTime) {
    deadline = InMonotonicTime(*wall);
    arguments[1] &= ~static_cast<long>(FUTEX_CLOCK_REALTIME);
    arguments[3] = reinterpret_cast<long>(&deadline);
  }
  return Libcs()(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                 arguments[5]);
}
// NOLINTEND(google-runtime-int,performance-no-int-to-ptr)
