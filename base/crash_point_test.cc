// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/crash_point.h"

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(CrashPointTest, ReadsNameCountAndMoment) {
  const auto plain = ParseCrashPlan("finish");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->name, "finish");
  EXPECT_EQ(plain->count, 1);
  EXPECT_EQ(plain->moment, FileOperationMoment::kBefore);

  const auto full = ParseCrashPlan("weights:write:3:after");
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->name, "weights:write");
  EXPECT_EQ(full->count, 3);
  EXPECT_EQ(full->moment, FileOperationMoment::kAfter);
}

TEST(CrashPointTest, RefusesWhatNamesNoPlace) {
  for (const char* text : {"", ":", "3", "after", "progress:0", "progress:-1", ":write:1"}) {
    EXPECT_FALSE(ParseCrashPlan(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace wattle
