// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/since.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::cli {
namespace {

using testing::HasSubstr;

absl::Time SinceNow() {
  return absl::FromCivil(absl::CivilSecond(2026, 11, 20, 8, 30, 0), absl::UTCTimeZone());
}

TEST(SinceTest, ReadsSpansAndDates) {
  EXPECT_EQ(*ParseSince("30m", SinceNow()), SinceNow() - absl::Minutes(30));
  EXPECT_EQ(*ParseSince("7d", SinceNow()), SinceNow() - absl::Hours(168));
  const absl::Time midnight =
      absl::FromCivil(absl::CivilSecond(2026, 11, 20, 0, 0, 0), absl::UTCTimeZone());
  EXPECT_EQ(*ParseSince("today", SinceNow()), midnight);
  EXPECT_EQ(*ParseSince("2026-11-20", SinceNow()), midnight);
  EXPECT_EQ(*ParseSince("2026-11-20T08:15", SinceNow()), SinceNow() - absl::Minutes(15));
}

TEST(SinceTest, SaysWhatItWants) {
  for (const char* text :
       {"", "h", "5", "-5h", "+5h", "5w", "yesterday", "2026-13-01", "1e3h", "0d"}) {
    EXPECT_THAT(ParseSince(text, SinceNow()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("30m, 24h, 7d")))
        << text;
  }
  EXPECT_THAT(ParseSince("2026-11-21", SinceNow()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("in the future")));
}

}  // namespace
}  // namespace wattle::cli
