// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include "gtest/gtest.h"

namespace wattle {
namespace {

TEST(OneLineTest, ForeignBytesForgeNoLineAndSteerNoTerminal) {
  EXPECT_EQ(OneLine("Zoë 東京 12.5"), "Zoë 東京 12.5");
  EXPECT_EQ(OneLine("no\nI1126 job j1 succeeded\r\x1b[2J\x7f"), "no I1126 job j1 succeeded  [2J ");
  EXPECT_EQ(OneLine("\xc3"), "?") << "a character that was cut";
  EXPECT_EQ(OneLine("a\xff\xfe\xc3\xab"), "a??ë");
  EXPECT_EQ(OneLine(""), "");
}

}  // namespace
}  // namespace wattle
