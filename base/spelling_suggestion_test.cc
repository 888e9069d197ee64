// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/spelling_suggestion.h"

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

TEST(SpellingSuggestionTest, ATypingErrorIsNear) {
  const std::vector<std::string> commands = {"devices", "device", "submit"};
  EXPECT_EQ(SpellingSuggestion("devcies", commands), "devices");
  EXPECT_EQ(SpellingSuggestion("devic", commands), "device");
  EXPECT_EQ(SpellingSuggestion("submit", commands), "submit");
  EXPECT_EQ(SpellingSuggestion("retry", commands), "") << "another word";
  EXPECT_EQ(SpellingSuggestion("x", {}), "");
  EXPECT_EQ(SpellingSuggestion(std::string(65, 'd'), {std::string(64, 'd')}), "");
}

}  // namespace
}  // namespace wattle
