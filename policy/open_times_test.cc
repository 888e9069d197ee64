// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/open_times.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::policy {
namespace {

// Windows in whole quarters of an hour; some end at 24:00, some go over midnight.
std::vector<WindowLimit> DrawLimits(std::mt19937_64& dice) {
  const auto below = [&dice](uint64_t count) { return static_cast<int>(dice() % count); };
  std::vector<WindowLimit> limits(1 + static_cast<size_t>(below(3)));
  for (WindowLimit& limit : limits) {
    limit.zone = absl::FixedTimeZone(900 * (below(97) - 48));
    if (below(2) == 0) {
      absl::LoadTimeZone("Europe/Berlin", &limit.zone);
    }
    const int count = 1 + below(3);
    for (int i = 0; i < count; ++i) {
      DailyWindow window = {.begin = absl::Minutes(15 * below(96)),
                            .end = absl::Minutes(15 * (1 + below(96)))};
      if (below(4) == 0) {
        window = {.begin = absl::ZeroDuration(), .end = absl::Hours(24)};
      }
      if (window.begin != window.end) {
        limit.windows.push_back(window);
      }
    }
    if (limit.windows.empty()) {
      limit.windows.push_back({.begin = absl::Hours(6), .end = absl::Hours(18)});
    }
  }
  return limits;
}

// Around both changes of the clocks of 2026 in Berlin, in any order of questions.
TEST(OpenTimesTest, AnswersAreThoseOfTheWindowsThemselves) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937_64 dice(seed);
  for (int draw = 0; draw < 300; ++draw) {
    const std::vector<WindowLimit> limits = DrawLimits(dice);
    const OpenTimes open(limits);
    const absl::Time begin = absl::FromUnixSeconds(draw % 2 == 0 ? 1'774'400'000 : 1'792'500'000);
    for (int question = 0; question < 40; ++question) {
      const absl::Time at = begin + absl::Seconds(dice() % (14 * 86'400));
      const absl::Time opens = OpensAt(limits, at);
      ASSERT_EQ(open.OpensAt(at), opens) << draw << ": " << at;
      if (opens == absl::InfiniteFuture()) {
        continue;
      }
      const absl::Time closes = ClosesAt(limits, opens);
      ASSERT_EQ(open.ClosesAt(opens), closes) << draw << ": " << opens;
      if (closes < absl::InfiniteFuture()) {
        ASSERT_EQ(open.OpensAt(closes), OpensAt(limits, closes)) << draw << ": " << closes;
      }
    }
  }
}

TEST(OpenTimesTest, BehindWhatIsKeptAndBeforeTheFirstQuestionTheWindowsAreAsked) {
  const std::vector<WindowLimit> limits = {
      {.windows = {{.begin = absl::Hours(20), .end = absl::Hours(4)}}}};
  const OpenTimes open(limits);
  for (const int day : {0, 4000, -4000, 1, 200, 300}) {
    const absl::Time noon = absl::FromUnixSeconds(1'774'440'000 + int64_t{86'400} * day);
    EXPECT_EQ(open.OpensAt(noon), noon + absl::Hours(8)) << day;
    EXPECT_EQ(open.ClosesAt(noon + absl::Hours(8)), noon + absl::Hours(16)) << day;
  }
}

TEST(OpenTimesTest, WithoutALimitItIsAlwaysOpen) {
  const OpenTimes open({});
  const absl::Time now = absl::FromUnixSeconds(1'774'440'000);
  EXPECT_TRUE(open.always());
  EXPECT_EQ(open.OpensAt(now), now);
  EXPECT_EQ(open.ClosesAt(now), absl::InfiniteFuture());
}

}  // namespace
}  // namespace wattle::policy
