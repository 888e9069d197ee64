// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr TextStyle kPipe{};

TEST(TableTest, AlignsByWhatATerminalShows) {
  Table table({{"name"}, {"watts", Align::kRight}});
  table.AddRow({"läuft", "3.10 W"});
  table.AddRow({"太陽", "14.29 W"});
  table.AddRow({"", "1 W"});
  EXPECT_EQ(table.Render(kPipe),
            "name     watts\n"
            "läuft   3.10 W\n"
            "太陽   14.29 W\n"
            "-          1 W\n");
}

TEST(TableTest, LongTextWrapsBeforeTheTableGetsTooWide) {
  Table table({{"device"}, {"reason", Align::kLeft, true}});
  table.AddRow({"nano-1", "would end at 12 % of charge, reserve is 20 %"});
  const std::string text = table.Render({.width_columns = 34});
  EXPECT_EQ(text,
            "device  reason\n"
            "nano-1  would end at 12 % of\n"
            "        charge, reserve is 20 %\n");
}

TEST(TableTest, NeverWiderThanTheTerminal) {
  Table table(
      {{""}, {"device"}, {"class"}, {"energy", Align::kRight}, {"why", Align::kLeft, true}});
  table.AddRow({"*", "nano-1", "jetson-orin-nano (emulated)", "36.33 Wh",
                "a reason with several words and one verylongwordthatfitsnowhereatall"});
  for (int width = 40; width <= 120; ++width) {
    for (const absl::string_view line :
         absl::StrSplit(table.Render({.width_columns = width}), '\n')) {
      EXPECT_LE(DisplayWidth(line), static_cast<size_t>(width)) << width << ": " << line;
    }
  }
}

TEST(TableTest, RowsBecomeBlocksOnANarrowTerminal) {
  Table table({{""}, {"device"}, {"class"}, {"energy", Align::kRight}});
  table.AddRow({"*", "nano-1", "jetson-orin-nano", "36.33 Wh"});
  EXPECT_EQ(table.Render({.width_columns = 30}),
            "* nano-1\n"
            "  class   jetson-orin-nano\n"
            "  energy  36.33 Wh\n");
}

TEST(TableTest, ColourOnlyWhereTheStyleHasIt) {
  Table table({{"device"}});
  table.AddRow({"nano-1"}, Emphasis::kStrong);
  EXPECT_THAT(table.Render(kPipe), Not(HasSubstr("\x1b")));
  EXPECT_EQ(table.Render({.colour = true}), "\x1b[1mdevice\x1b[0m\n\x1b[1mnano-1\x1b[0m\n");
}

TEST(TableTest, ControlCharactersOfACellDoNotReachTheTerminal) {
  Table table({{"name"}});
  table.AddRow({"a\x1b[2Jb\nc\x9b\x7f"});
  EXPECT_EQ(table.Render(kPipe), "name\na?[2Jb c??\n");
}

TEST(PrintableTest, KeepsUtf8AndReplacesWhatIsNot) {
  EXPECT_EQ(Printable("µ → 太 ok"), "µ → 太 ok");
  EXPECT_EQ(Printable("\xc3("), "?(");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "1m"),
            "?1m");  // C1 control sequence introducer
}

TEST(DisplayWidthTest, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("°C"), 2U);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1U);  // combining acute accent
  EXPECT_EQ(DisplayWidth("日本"), 4U);
}

TEST(WrapTextTest, CutsWordsLongerThanALine) {
  EXPECT_THAT(WrapText("ab abcdefgh c", 4), ElementsAre("ab", "abcd", "efgh", "c"));
  EXPECT_THAT(WrapText("", 4), ElementsAre(""));
}

TEST(FitTextTest, EndsWithAnEllipsisWhereSomethingWasCut) {
  EXPECT_EQ(FitText("abcdef", 6), "abcdef");
  EXPECT_EQ(FitText("abcdefg", 6), "abcde…");
}

}  // namespace
}  // namespace wattle::cli
