// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/backoff.h"

#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

TEST(BackoffTest, EachWaitIsTwiceTheOneBeforeUpToTheLongest) {
  Backoff backoff(absl::Seconds(5));
  for (const int seconds : {5, 10, 20, 30, 30}) {
    EXPECT_EQ(backoff.AfterFailure(absl::Seconds(30)), absl::Seconds(seconds));
  }
  EXPECT_EQ(backoff.failures(), 5);
  // Another transfer may wait longer.
  EXPECT_EQ(backoff.AfterFailure(absl::Minutes(5)), absl::Seconds(30));
  EXPECT_EQ(backoff.AfterFailure(absl::Minutes(5)), absl::Seconds(60));
  backoff.Reset();
  EXPECT_EQ(backoff.failures(), 0);
  EXPECT_EQ(backoff.AfterFailure(absl::Seconds(3)), absl::Seconds(3));
}

}  // namespace
}  // namespace wattle::agent
