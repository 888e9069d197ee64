// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/standard_output.h"

#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

constexpr char kHelp[] =
    "Runs jobs and measures their energy on a device that a battery feeds.\n"
    "\n"
    "Options:\n"
    "  -h,--help                   Print this help message and exit\n"
    "  --runner-silence-seconds FLOAT=60\n"
    "                              A silent runner counts as hung and is killed\n"
    "  --name TEXT                 Name for people [the host's]\n";

TEST(WrapHelpTest, TheRestOfADescriptionStandsBelowItsBeginning) {
  EXPECT_EQ(WrapHelp(kHelp, 56),
            "Runs jobs and measures their energy on a device that a\n"
            "battery feeds.\n"
            "\n"
            "Options:\n"
            "  -h,--help                   Print this help message\n"
            "                              and exit\n"
            "  --runner-silence-seconds FLOAT=60\n"
            "                              A silent runner counts as\n"
            "                              hung and is killed\n"
            "  --name TEXT                 Name for people [the\n"
            "                              host's]\n");
}

TEST(WrapHelpTest, NoLineIsWiderAndNoWordIsLost) {
  const auto words = [](const std::string& text) {
    return std::vector<std::string>(
        absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty()));
  };
  for (const int columns : {34, 40, 56, 80, 140}) {
    const std::string wrapped = WrapHelp(kHelp, columns);
    EXPECT_EQ(words(wrapped), words(kHelp)) << columns;
    for (const auto& line : absl::StrSplit(wrapped, '\n')) {
      EXPECT_LE(line.size(), static_cast<size_t>(columns)) << line;
    }
  }
  EXPECT_EQ(WrapHelp(kHelp, 0), kHelp) << "a pipe or a file";
}

TEST(WrapHelpTest, AWordThatIsTooLongStaysWhole) {
  EXPECT_EQ(WrapHelp("see https://example.org/a/long/address for more", 12),
            "see\nhttps://example.org/a/long/address\nfor more");
  EXPECT_EQ(WrapHelp("a name with blanks at its end     ", 10), "a name\nwith\nblanks at\nits end");
}

TEST(TerminalColumnsTest, APipeIsNoTerminal) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(TerminalColumns(ends[1]), 0);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace wattle
