// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/build_id.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

using testing::MatchesRegex;

// The output of a command; "" if the command fails.
std::string OutputOf(const std::string& command) {
  std::string output;
  FILE* const pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) {
    return output;
  }
  std::array<char, 4096> part = {};
  while (const size_t count = fread(part.data(), 1, part.size(), pipe)) {
    output.append(part.data(), count);
  }
  return pclose(pipe) == 0 ? output : "";
}

TEST(BuildIdTest, IsTheHashThatTheLinkerWrote) {
  EXPECT_THAT(BuildId(), MatchesRegex("[0-9a-f]{40}"));
  EXPECT_EQ(BuildId(), BuildId());
}

TEST(BuildIdTest, IsThatOfReadelf) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string notes = OutputOf(absl::StrCat("readelf -n '", program, "' 2>/dev/null"));
  if (notes.empty()) {
    GTEST_SKIP() << "there is no readelf that reads " << program;
  }
  const std::pair<std::string, std::string> parts = absl::StrSplit(notes, "Build ID: ");
  EXPECT_EQ(BuildId(), parts.second.substr(0, parts.second.find('\n')));
}

}  // namespace
}  // namespace wattle
