// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/harvest_forecast.h"

#include <string>

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

TEST(HarvestForecastTest, BadLinesAreNamedWithFileLineValueAndWanted) {
  const struct {
    std::string text;
    std::string wanted;
  } kCases[] = {
      {"", "f.csv:1: columns: \"\"; wanted time,watts"},
      {"hour,watts\n", "f.csv:1: columns: \"hour,watts\"; wanted time,watts"},
      {"time,watts\n", "f.csv:1: hours: \"0\"; wanted 1 to 384"},
      {"time,watts\n2026-11-26T08:00:00,3\n", "f.csv:2: time: \"2026-11-26T08:00:00\"; wanted RFC"},
      {"time,watts\n2026-11-26T08:30:00Z,3\n", "wanted the begin of an hour, UTC"},
      {"time,watts\n2026-11-26T08:00:00Z,3\n2026-11-26T10:00:00Z,3\n",
       "f.csv:3: time: \"2026-11-26T10:00:00Z\"; wanted 2026-11-26T09:00:00Z, the hour after"},
      {"time,watts\ninfinite-future,3\ninfinite-future,3\n", "wanted the begin of an hour, UTC"},
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
