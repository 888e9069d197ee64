// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/text_tail.h"

#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

TEST(TextTailTest, KeepsTheEndAndCountsAll) {
  v1::AttemptProgress progress;
  AppendText("", progress);
  EXPECT_EQ(progress.text_bytes(), 0);
  AppendText("one ", progress);
  AppendText("two", progress);
  EXPECT_EQ(progress.text(), "one two");
  EXPECT_EQ(progress.text_bytes(), 7);
  AppendText(std::string(kTextTailBytes, 'x'), progress);
  EXPECT_EQ(progress.text(), std::string(kTextTailBytes, 'x'));
  EXPECT_EQ(progress.text_bytes(), static_cast<int64_t>(7 + kTextTailBytes));
}

TEST(TextTailTest, BeginsWithAWholeCharacter) {
  v1::AttemptProgress progress;
  AppendText("\xe2\x82\xac", progress);                        // one character of three bytes
  AppendText(std::string(kTextTailBytes - 2, 'x'), progress);  // two of them would still fit
  EXPECT_EQ(progress.text(), std::string(kTextTailBytes - 2, 'x'));
  EXPECT_EQ(progress.text_bytes(), static_cast<int64_t>(kTextTailBytes + 1));
}

}  // namespace
}  // namespace wattle::agent
