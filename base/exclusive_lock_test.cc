// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/exclusive_lock.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"

namespace wattle {
namespace {

int Open(const std::string& path) {
  return open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

// The child behaves like one that a killed process leaves between fork and exec.
TEST(ExclusiveLockTest, AChildOfTheLastHolderThatEndsSoonIsWaitedFor) {
  const std::string path = testing::TempDir() + "/lock";
  const int killed = Open(path);
  ASSERT_TRUE(TakeExclusiveLock(killed));
  int until[2];
  ASSERT_EQ(pipe(until), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(until[1]);
    char end = 0;
    _exit(read(until[0], &end, 1) == 0 ? 0 : 1);
  }
  close(until[0]);
  close(killed);
  const int file = Open(path);
  int waits = 0;
  EXPECT_TRUE(TakeExclusiveLock(file, [&](absl::Duration) {
    if (++waits == 3) {
      close(until[1]);
      EXPECT_EQ(waitpid(child, nullptr, 0), child);
    }
  }));
  EXPECT_EQ(waits, 3);

  const int other = Open(path);
  absl::Duration waited;
  EXPECT_FALSE(TakeExclusiveLock(other, [&](absl::Duration time) { waited += time; }))
      << "its holder lives";
  EXPECT_GT(waited, absl::Milliseconds(900));
  close(other);
  close(file);
}

}  // namespace
}  // namespace wattle
