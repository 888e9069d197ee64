// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/text_stream.h"

#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

v1::AttemptProgress Progress(const std::string& attempt, const std::string& tail, int64_t bytes) {
  v1::AttemptProgress progress;
  progress.set_attempt_id(attempt);
  progress.set_text(tail);
  progress.set_text_bytes(bytes);
  return progress;
}

TEST(TextStreamTest, ShowsEachPartOnce) {
  TextStream stream;
  EXPECT_EQ(stream.More(Progress("j1.1", "", 0)), "");
  EXPECT_FALSE(stream.has_text());
  EXPECT_EQ(stream.More(Progress("j1.1", "The mast", 8)), "The mast");
  EXPECT_EQ(stream.More(Progress("j1.1", "The mast", 8)), "");
  EXPECT_EQ(stream.More(Progress("j1.1", "mast is\n", 12)), " is\n");
  EXPECT_TRUE(stream.ends_line());
  EXPECT_EQ(stream.Rest("The mast is\nhigh"), "high");
  EXPECT_EQ(stream.Rest("The"), "");
}

TEST(TextStreamTest, AGapIsSaid) {
  TextStream stream;
  EXPECT_EQ(stream.More(Progress("j1.1", "one", 3)), "one");
  EXPECT_EQ(stream.More(Progress("j1.1", "four", 14)), " … four");
}

TEST(TextStreamTest, ANewAttemptBeginsOnANewLine) {
  TextStream stream;
  EXPECT_EQ(stream.More(Progress("j1.1", "one", 3)), "one");
  EXPECT_EQ(stream.More(Progress("j1.2", "on", 2)), "\non");
  EXPECT_EQ(stream.More(Progress("j1.2", "o", 1)), "\no");  // the same attempt, from its beginning
}

TEST(TextStreamTest, ControlCharactersDoNotReachTheTerminal) {
  TextStream stream;
  EXPECT_EQ(stream.More(Progress("j1.1", "a\x1b[2Jb\nc", 8)).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace wattle::cli
