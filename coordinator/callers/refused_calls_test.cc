// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/refused_calls.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::callers {
namespace {

using testing::ElementsAre;

Monotonic Later(double seconds) {
  return Monotonic(absl::Seconds(1000 + seconds));
}

class RefusedCallsTest : public testing::Test {
 protected:
  RefusedCallsTest() {
    refused_.SetTell([this](const std::string& line) { lines_.push_back(line); });
  }
  RefusedCalls refused_;
  std::vector<std::string> lines_;
};

TEST_F(RefusedCallsTest, AFloodIsOneLineAMinuteAndEachIsCounted) {
  for (int i = 0; i < 500; ++i) {
    refused_.Note("person eve", "/Revoke", "no role", Later(0.1 * i));
  }
  EXPECT_THAT(lines_, ElementsAre("person eve was refused /Revoke: no role"));
  refused_.Note("person eve", "/Revoke", "no role", Later(60));
  ASSERT_EQ(lines_.size(), 2U);
  EXPECT_EQ(lines_[1],
            "person eve was refused /Revoke: no role (500 times since the last such line)");
  EXPECT_EQ(refused_.total(), 501U);
}

TEST_F(RefusedCallsTest, CallersAndMethodsAreToldApart) {
  refused_.Note("", "/Revoke", "no certificate", Later(0));
  refused_.Note("device d1", "/Revoke", "no role", Later(1));
  refused_.Note("device d1", "/Drain", "no role", Later(2));
  EXPECT_THAT(lines_, ElementsAre("a stranger was refused /Revoke: no certificate",
                                  "device d1 was refused /Revoke: no role",
                                  "device d1 was refused /Drain: no role"));
}

TEST_F(RefusedCallsTest, AMethodIsNamedOnce) {
  refused_.Note("person eve", "/Revoke", "/Revoke: eve has no role", Later(0));
  EXPECT_THAT(lines_, ElementsAre("person eve was refused /Revoke: eve has no role"));
}

TEST_F(RefusedCallsTest, WhoeverMakesNamesUpIsOneOfTheOthers) {
  for (int i = 0; i < 5000; ++i) {
    refused_.Note(absl::StrCat("person p", i), "/Revoke", "no", Later(0));
  }
  EXPECT_EQ(lines_.size(), 1001U);
  EXPECT_EQ(lines_.back(), "others was refused /Revoke: no");
  refused_.Note("person late", "/Revoke", "no", Later(60));
  EXPECT_EQ(lines_.back(), "person late was refused /Revoke: no") << "the old ones are forgotten";
}

class RefusalCountsTest : public testing::Test {
 protected:
  static core::Instant At(double seconds) {
    return {.wall = absl::FromUnixSeconds(1'700'000'000) + absl::Seconds(seconds),
            .monotonic = Later(seconds)};
  }
  void Keep(double seconds) {
    refused_.KeepCounts(At(seconds), [this](const v1::RefusalsCounted& counted) {
      events_.push_back(counted);
      return takes_;
    });
  }
  RefusedCalls refused_;
  std::vector<v1::RefusalsCounted> events_;
  bool takes_ = true;
};

TEST_F(RefusalCountsTest, AMinuteIsOneEventWithTheMostRefusedFirst) {
  Keep(0);
  EXPECT_TRUE(events_.empty()) << "nothing was refused";
  refused_.Note("device d1", "/Drain", "no role", Later(5));
  for (int i = 0; i < 500; ++i) {
    refused_.Note("person eve", "/Revoke", "/Revoke: eve has no role", Later(6 + 0.1 * i));
    Keep(6 + 0.1 * i);
  }
  EXPECT_TRUE(events_.empty()) << "the minute is not over";
  Keep(65);
  ASSERT_EQ(events_.size(), 1U);
  ASSERT_EQ(events_[0].callers_size(), 2);
  EXPECT_EQ(events_[0].callers(0).who(), "person eve");
  EXPECT_EQ(events_[0].callers(0).method(), "/Revoke");
  EXPECT_EQ(events_[0].callers(0).calls(), 500);
  EXPECT_EQ(events_[0].callers(0).reason(), "eve has no role") << "the method is named once";
  EXPECT_EQ(events_[0].callers(1).who(), "device d1");
  EXPECT_EQ(events_[0].begin_unix_seconds(), 1'700'000'005);
  Keep(1000);
  EXPECT_EQ(events_.size(), 1U) << "nothing was refused since";
  refused_.Note("device d1", "/Drain", "no role", Later(1000));
  Keep(1060);
  ASSERT_EQ(events_.size(), 2U);
  EXPECT_EQ(events_[1].callers(0).calls(), 1);
}

TEST_F(RefusalCountsTest, WhatTheJournalDoesNotTakeIsInTheNextEvent) {
  takes_ = false;
  refused_.Note("person eve", "/Revoke", "no role", Later(0));
  Keep(60);
  refused_.Note("person eve", "/Revoke", "no role", Later(61));
  takes_ = true;
  Keep(62);
  ASSERT_EQ(events_.size(), 2U);
  EXPECT_EQ(events_[1].callers(0).calls(), 2);
  EXPECT_EQ(events_[1].begin_unix_seconds(), 1'700'000'000);
}

// The bound of docs/operate/growth.md.
TEST_F(RefusalCountsTest, AFloodOfMadeUpWordsIsLessThanThreeMebibytesADay) {
  constexpr int kMany = 5000;
  for (int i = 0; i < kMany; ++i) {
    refused_.Note(absl::StrCat(std::string(300, 'n'), i), std::string(300, 'm'),
                  absl::StrCat("\xff\n\xc3\xa4", std::string(300, 'r')), Later(0));
  }
  Keep(60);
  ASSERT_EQ(events_.size(), 1U);
  const v1::RefusalsCounted& counted = events_[0];
  EXPECT_EQ(counted.callers_size(), static_cast<int>(RefusedCalls::kCountedMax));
  int64_t calls = counted.other_calls();
  for (const v1::RefusedCalls& one : counted.callers()) {
    calls += one.calls();
    EXPECT_EQ(one.reason().substr(0, 4), "? \xc3\xa4");
  }
  EXPECT_EQ(calls, kMany);
  v1::Event event;
  event.set_sequence(INT64_MAX);
  event.set_at_unix_seconds(1.7e9);
  *event.mutable_refusals_counted() = counted;
  EXPECT_LT(event.ByteSizeLong(), 2048U);
  constexpr size_t kOfARow = 64;  // Number, time, kind and checksum.
  EXPECT_LT((event.ByteSizeLong() + kOfARow) * 24 * 60, size_t{3} << 20);
}

TEST_F(RefusedCallsTest, NobodyIsToldAfterTheEnd) {
  refused_.SetTell(nullptr);
  refused_.Note("person eve", "/Revoke", "no role", Later(0));
  EXPECT_TRUE(lines_.empty());
  EXPECT_EQ(refused_.total(), 1U);
}

}  // namespace
}  // namespace wattle::callers
