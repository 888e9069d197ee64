// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/refused_calls.h"

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

TEST_F(RefusedCallsTest, NobodyIsToldAfterTheEnd) {
  refused_.SetTell(nullptr);
  refused_.Note("person eve", "/Revoke", "no role", Later(0));
  EXPECT_TRUE(lines_.empty());
  EXPECT_EQ(refused_.total(), 1U);
}

}  // namespace
}  // namespace wattle::callers
