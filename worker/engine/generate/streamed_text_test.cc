// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The visible part of a growing text, for any division into pieces.
#include "worker/engine/generate/streamed_text.h"

#include <string>

#include "gtest/gtest.h"

namespace wattle::engine {
namespace {

TEST(StreamedTextTest, ACharacterIsShownWhenItIsWhole) {
  StreamedText text({});
  EXPECT_EQ(text.Grow("a"), "a");
  EXPECT_EQ(text.Grow("a\xe2\x82"), "");
  EXPECT_EQ(text.Grow("a\xe2\x82\xac"), "\xe2\x82\xac");
  EXPECT_EQ(text.Grow("a\xe2\x82\xac\xf0"), "");
  EXPECT_EQ(text.End(), "\xf0");                           // shown though incomplete
  EXPECT_EQ(WholeCharacters("\x80\x80\x80\x80\x80"), 5U);  // not a character
}

TEST(StreamedTextTest, WhatMayBecomeAStopIsHeldBack) {
  StreamedText text({"END", "\n\n"});
  EXPECT_EQ(text.Grow("one EN"), "one ");
  EXPECT_EQ(text.Grow("one ENOUGH\n"), "ENOUGH");
  EXPECT_EQ(text.Grow("one ENOUGH\nx"), "\nx");
  EXPECT_FALSE(text.stopped());
  EXPECT_EQ(text.Grow("one ENOUGH\nx E"), " ");
  EXPECT_EQ(text.Grow("one ENOUGH\nx END of"), "");
  EXPECT_TRUE(text.stopped());
  EXPECT_EQ(text.text(), "one ENOUGH\nx ");
  EXPECT_EQ(text.End(), "");
}

TEST(StreamedTextTest, TheFirstOfSeveralStopsEndsTheText) {
  StreamedText text({"c", "b"});
  EXPECT_EQ(text.Grow("abc"), "a");
  EXPECT_EQ(text.text(), "a");
}

TEST(StreamedTextTest, PiecesAddUpToTheText) {
  const std::string whole = "The mast \xe2\x82\xac stops. Stopping STOPs STO";
  for (size_t step = 1; step < whole.size(); ++step) {
    StreamedText text({"STOP"});
    std::string shown;
    for (size_t end = step; end < whole.size() + step && !text.stopped(); end += step) {
      shown += text.Grow(whole.substr(0, end));
    }
    shown += text.End();
    EXPECT_EQ(shown, whole.substr(0, whole.find("STOP"))) << "in pieces of " << step;
  }
}

}  // namespace
}  // namespace wattle::engine
