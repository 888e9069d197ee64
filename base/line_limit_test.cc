// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/line_limit.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Monotonic At(double seconds) {
  return Monotonic(absl::Seconds(seconds));
}

TEST(LineLimitTest, ASensorThatFlapsTwiceASecondWritesTwentyLinesAMinute) {
  LineLimit limit;
  int written = 0;
  std::string count;
  for (int half_seconds = 0; half_seconds < 120 * 60; ++half_seconds) {
    for (const std::string& line :
         limit.Take(absl::StrCat("sensor ina3221: read ", half_seconds, " failed"),
                    At(0.5 * half_seconds))) {
      ++written;
      count = line.find("more lines") == std::string::npos ? count : line;
    }
  }
  EXPECT_EQ(written, 60 * kLinesAMinute + 59);
  EXPECT_EQ(count, "sensor #: 100 more lines of this kind were left out");
}

TEST(LineLimitTest, TheRestIsTheCountsOfWhatNoLineFollows) {
  LineLimit limit;
  for (int i = 0; i < 100; ++i) {
    (void)limit.Take("step: slow", At(1));
  }
  (void)limit.Take("load: done", At(1));
  EXPECT_THAT(limit.TakeRest(), ElementsAre("step: 80 more lines of this kind were left out"));
  EXPECT_THAT(limit.TakeRest(), IsEmpty());
}

TEST(LineLimitTest, AFewLinesGoThroughAsTheyAre) {
  LineLimit limit;
  for (int minute = 0; minute < 10; ++minute) {
    for (int line = 0; line < kLinesAMinute; ++line) {
      EXPECT_THAT(limit.Take("guard: work may go on", At(60 * minute + line)),
                  ElementsAre("guard: work may go on"));
    }
  }
}

TEST(LineLimitTest, OneCauseDoesNotSilenceAnother) {
  LineLimit limit;
  for (int i = 0; i < 100; ++i) {
    (void)limit.Take(absl::StrCat("device dev-", i, "f2 connected"), At(1));
  }
  EXPECT_THAT(limit.Take("device dev-7a1 connected", At(2)), IsEmpty());
  EXPECT_THAT(limit.Take("device dev-7a1 disconnected", At(2)),
              ElementsAre("device dev-7a1 disconnected"));
  EXPECT_THAT(limit.Take("remote write: refused", At(61)),
              ElementsAre("device # connected: 81 more lines of this kind were left out",
                          "remote write: refused"));
}

TEST(LineLimitTest, MoreCausesThanTheTableHoldsShareOneCount) {
  LineLimit limit;
  const auto word = [](int number) {  // Without digits, because words with digits do not
                                      // distinguish causes.
    return std::string{static_cast<char>('a' + number / 26 / 26),
                       static_cast<char>('a' + number / 26 % 26),
                       static_cast<char>('a' + number % 26)};
  };
  int written = 0;
  for (int cause = 0; cause < 10'000; ++cause) {
    written += static_cast<int>(limit.Take(word(cause), At(1)).size());
  }
  EXPECT_EQ(written, static_cast<int>(kLogCausesMax) + kLinesAMinute);
}

}  // namespace
}  // namespace wattle
