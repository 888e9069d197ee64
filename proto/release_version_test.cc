// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/release_version.h"

#include <vector>

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(ReleaseVersionTest, ReleasesAreInTheirOrder) {
  const std::vector<const char*> oldest_first = {"0.1.0",       "0.2.0-1",       "0.2.0-rc.2",
                                                 "0.2.0-rc.10", "0.2.0-rc.10.1", "0.2.0",
                                                 "0.2.1",       "0.10.0",        "1.0.0"};
  for (size_t i = 0; i < oldest_first.size(); ++i) {
    for (size_t j = 0; j < oldest_first.size(); ++j) {
      EXPECT_EQ(IsOlderRelease(*ParseReleaseVersion(oldest_first[i]),
                               *ParseReleaseVersion(oldest_first[j])),
                i < j)
          << oldest_first[i] << " and " << oldest_first[j];
    }
  }
}

TEST(ReleaseVersionTest, OtherTextsAreNoVersions) {
  for (const char* text : {"", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "1.02.3", "-1.2.3",
                           "1.2.3-", "1.2.3-a..b", "1.2.3+build", "1.2.3 ", "9999999999.0.0"}) {
    EXPECT_FALSE(ParseReleaseVersion(text).has_value()) << text;
  }
}

TEST(ReleaseVersionTest, ACoordinatorServesTwoReleasesBackAndOneAhead) {
  const auto served = [](const char* worker) {
    return IsServedBy(*ParseReleaseVersion(worker), *ParseReleaseVersion("1.5.2"));
  };
  EXPECT_FALSE(served("1.2.9"));
  EXPECT_TRUE(served("1.3.0"));
  EXPECT_TRUE(served("1.6.0"));
  EXPECT_FALSE(served("1.7.0"));
  EXPECT_FALSE(served("2.5.0"));
}

}  // namespace
}  // namespace wattle
