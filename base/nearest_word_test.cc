// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/nearest_word.h"

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(EditDistanceTest, CountsSwapsOnce) {
  EXPECT_EQ(EditDistance("", "abc"), 3U);
  EXPECT_EQ(EditDistance("abc", "abc"), 0U);
  EXPECT_EQ(EditDistance("modle", "model"), 1U);
  EXPECT_EQ(EditDistance("precison", "precision"), 1U);
  EXPECT_EQ(EditDistance("abc", "xyz"), 3U);
}

TEST(NearestWordTest, ATypingErrorIsNear) {
  const std::vector<std::string> commands = {"devices", "device", "submit"};
  EXPECT_EQ(NearestWord("devcies", commands), "devices");
  EXPECT_EQ(NearestWord("devic", commands), "device");
  EXPECT_EQ(NearestWord("submit", commands), "submit");
  EXPECT_EQ(NearestWord("retry", commands), "") << "another word";
  EXPECT_EQ(NearestWord("x", {}), "");
  EXPECT_EQ(NearestWord(std::string(65, 'd'), {std::string(64, 'd')}), "");
}

}  // namespace
}  // namespace wattle
