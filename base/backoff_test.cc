// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/backoff.h"

#include <cstdint>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

using testing::AllOf;
using testing::Gt;
using testing::Le;

auto IsDrawnFrom(absl::Duration nominal) {
  return AllOf(Gt(0.5 * nominal), Le(nominal));
}

TEST(BackoffTest, EachWaitIsDrawnFromTwiceTheRangeBeforeUpToTheLongest) {
  Backoff backoff(absl::Seconds(5), /*seed=*/1);
  for (const int seconds : {5, 10, 20, 30, 30}) {
    EXPECT_THAT(backoff.AfterFailure(absl::Seconds(30)), IsDrawnFrom(absl::Seconds(seconds)));
  }
  EXPECT_EQ(backoff.failures(), 5);
  // Another transfer may wait longer.
  EXPECT_THAT(backoff.AfterFailure(absl::Minutes(5)), IsDrawnFrom(absl::Seconds(30)));
  EXPECT_THAT(backoff.AfterFailure(absl::Minutes(5)), IsDrawnFrom(absl::Seconds(60)));
  backoff.Reset();
  EXPECT_EQ(backoff.failures(), 0);
  EXPECT_THAT(backoff.AfterFailure(absl::Seconds(3)), IsDrawnFrom(absl::Seconds(3)));
}

// 10,000 boards lose the coordinator at one moment. Their retries are spread over half of the wait.
TEST(BackoffTest, BoardsThatFailAtOnceDoNotComeBackAtOnce) {
  constexpr int kBoards = 10'000;
  std::map<int64_t, int> tries_in_second;
  for (uint64_t seed = 1; seed <= kBoards; ++seed) {
    Backoff backoff(absl::Seconds(40), seed);
    ++tries_in_second[absl::ToInt64Seconds(backoff.AfterFailure(absl::Seconds(40)))];
  }
  EXPECT_GE(tries_in_second.size(), 20);
  for (const auto& [second, tries] : tries_in_second) {
    EXPECT_LT(tries, kBoards / 20 * 1.2) << second;
  }
}

// A Reset does not restart the random draws; otherwise all first waits of a machine would be equal.
TEST(BackoffTest, ResetKeepsTheDraws) {
  Backoff backoff(absl::Seconds(40), /*seed=*/1);
  const absl::Duration first = backoff.AfterFailure(absl::Seconds(40));
  backoff.Reset();
  EXPECT_NE(backoff.AfterFailure(absl::Seconds(40)), first);
}

}  // namespace
}  // namespace wattle
