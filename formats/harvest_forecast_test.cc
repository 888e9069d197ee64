// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/harvest_forecast.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "formats/testing/mutation_internal.h"

namespace wattle::formats {
namespace {

using testing::HasSubstr;

constexpr char kForecast[] =
    "time,watts\n2026-11-26T08:00:00Z,3.5\n2026-11-26T10:00:00+01:00,12\n"
    "2026-11-26T10:00:00Z,0\n";

TEST(HarvestForecastTest, HoursAreReadWithTheirOffsets) {
  const auto forecast = ParseHarvestForecast(kForecast, "f.csv");
  ASSERT_THAT(forecast, IsOk());
  EXPECT_EQ(forecast->first_hour_unix_seconds(), 1'795'680'000);
  EXPECT_THAT(forecast->power_watts(), testing::ElementsAre(3.5, 12, 0));
}

TEST(HarvestForecastTest, HoursOfAClockBetweenThoseOfUtcAreSplitByTime) {
  const auto kolkata = ParseHarvestForecast(
      "time,watts\n2026-11-26T09:00:00+05:30,4\n2026-11-26T10:00:00+05:30,8\n", "f.csv");
  ASSERT_THAT(kolkata, IsOk());
  EXPECT_EQ(kolkata->first_hour_unix_seconds(),
            1'795'662'000);  // 03:00, of which 03:30 on is known
  EXPECT_THAT(kolkata->power_watts(), testing::ElementsAre(2, 6, 4));
  const auto kathmandu = ParseHarvestForecast("time,watts\n2026-11-26T09:00:00+05:45,4\n", "f.csv");
  ASSERT_THAT(kathmandu, IsOk());
  EXPECT_THAT(kathmandu->power_watts(), testing::ElementsAre(3, 1));  // from 03:15 on
  std::string sixteen_days = "time,watts\n";
  const absl::Time begin = absl::FromUnixSeconds(1'795'663'800);
  for (int i = 0; i < 384; ++i) {
    absl::StrAppend(&sixteen_days,
                    absl::FormatTime("%Y-%m-%dT%H:%M:%S", begin + absl::Hours(i),
                                     absl::FixedTimeZone(5 * 3600 + 1800)),
                    "+05:30,1\n");
  }
  const auto longest = ParseHarvestForecast(sixteen_days, "f.csv");
  ASSERT_THAT(longest, IsOk());
  EXPECT_EQ(longest->power_watts_size(), 384) << "as many as a forecast may have";
}

TEST(HarvestForecastTest, AByteOrderMarkIsNoPartOfTheHead) {
  const auto forecast = ParseHarvestForecast(std::string("\xEF\xBB\xBF") + kForecast, "f.csv");
  ASSERT_THAT(forecast, IsOk());
  EXPECT_EQ(forecast->power_watts_size(), 3);
}

TEST(HarvestForecastTest, BadLinesAreNamedWithFileLineValueAndWanted) {
  const struct {
    std::string text;
    std::string wanted;
  } kCases[] = {
      {"", "f.csv:1: columns: \"\"; wanted time,watts"},
      {"hour,watts\n", "f.csv:1: columns: \"hour,watts\"; wanted time,watts"},
      {"time,watts\n", "f.csv:1: hours: \"0\"; wanted 1 to 384"},
      {"time,watts\n2026-11-26T08:00:00,3\n", "f.csv:2: time: \"2026-11-26T08:00:00\"; wanted RFC"},
      {"time,watts\n2026-11-26T08:30:00Z,3\n", "wanted the start of an hour, UTC or"},
      {"time,watts\n2026-11-26T08:00:00Z,3\n2026-11-26T10:00:00Z,3\n",
       "f.csv:3: time: \"2026-11-26T10:00:00Z\"; wanted 2026-11-26T09:00:00Z, the hour after"},
      {"time,watts\ninfinite-future,3\ninfinite-future,3\n", "wanted the start of an hour, UTC or"},
      {"time,watts\n2026-11-26T08:00:00Z,nan\n", "f.csv:2: watts: \"nan\"; wanted a number"},
      {"time,watts\n2026-11-26T08:00:00Z,inf\n", "f.csv:2: watts: \"inf\""},
      {"time,watts\n2026-11-26T08:00:00Z,-1\n", "f.csv:2: watts: \"-1\""},
      {"time,watts\n2026-11-26T08:00:00Z\n", "f.csv:2: line: "},
      {"time,watts\n2026-11-26T08:00:00Z,1\n\n2026-11-26T09:00:00Z,1\n", "f.csv:3: line: \"\""},
  };
  for (const auto& one : kCases) {
    EXPECT_THAT(ParseHarvestForecast(one.text, "f.csv").status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(one.wanted)))
        << one.text;
  }
}

TEST(HarvestForecastTest, DamagedFilesAreRefusedOrRead) {
  ForEachMutation(kForecast, {.seed = 32, .rounds = 5000}, [](const std::string& mutant) {
    return ParseHarvestForecast(mutant, "f.csv").status();
  });
}

}  // namespace
}  // namespace wattle::formats
