// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/since.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"

namespace wattle::cli {
namespace {

using testing::HasSubstr;

absl::Time Now() {
  return absl::FromCivil(absl::CivilSecond(2026, 11, 20, 8, 30, 0), absl::UTCTimeZone());
}

TEST(SinceTest, ReadsSpansAndDates) {
  EXPECT_EQ(*ParseSince("30m", Now()), Now() - absl::Minutes(30));
  EXPECT_EQ(*ParseSince("7d", Now()), Now() - absl::Hours(168));
  const absl::Time midnight =
      absl::FromCivil(absl::CivilSecond(2026, 11, 20, 0, 0, 0), absl::UTCTimeZone());
  EXPECT_EQ(*ParseSince("today", Now()), midnight);
  EXPECT_EQ(*ParseSince("2026-11-20", Now()), midnight);
  EXPECT_EQ(*ParseSince("2026-11-20T08:15", Now()), Now() - absl::Minutes(15));
}

TEST(SinceTest, SaysWhatItWants) {
  for (const char* text :
       {"", "h", "5", "-5h", "+5h", "5w", "yesterday", "2026-13-01", "1e3h", "0d"}) {
    EXPECT_THAT(ParseSince(text, Now()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("30m, 24h, 7d")))
        << text;
  }
  EXPECT_THAT(ParseSince("2026-11-21", Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("in the future")));
}

}  // namespace
}  // namespace wattle::cli
