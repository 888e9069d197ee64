// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/release.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::artifacts {
namespace {

using testing::HasSubstr;

std::string Program(char machine) {
  std::string head = std::string("\x7f") + "ELF\x02\x01";
  head.resize(64);
  head[18] = machine;
  return head;
}

class ReleaseTest : public testing::Test {
 protected:
  ReleaseTest() { std::filesystem::create_directories(directory_.path() + "/bin"); }
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_.path() + "/bin/" + name, std::ios::binary) << bytes;
  }
  TestDirectory directory_;
};

TEST_F(ReleaseTest, TheArchitectureIsThatOfThePrograms) {
  Write("wattle-worker", Program(static_cast<char>(183)));
  Write("wattle-runner", Program(static_cast<char>(183)));
  EXPECT_EQ(*ReleaseArchitecture(directory_.path()), "aarch64");
  Write("wattle-worker", Program(62));
  EXPECT_THAT(ReleaseArchitecture(directory_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("for aarch64; push the")));
  Write("wattle-runner", Program(62));
  EXPECT_EQ(*ReleaseArchitecture(directory_.path()), "x86_64");
}

TEST_F(ReleaseTest, OtherFoldersAreNoReleases) {
  const auto refused = [&](const std::string& text) {
    EXPECT_THAT(ReleaseArchitecture(directory_.path()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  };
  refused("bin/wattle-worker: cannot be read");
  Write("wattle-worker", Program(62));
  refused("bin/wattle-runner: cannot be read");
  Write("wattle-runner", "#!/bin/sh\nexec true\n# long enough\n");
  refused("bin/wattle-runner: is no program of Linux");
  Write("wattle-runner", Program(3));
  refused("bin/wattle-runner: is no program of Linux");
}

}  // namespace
}  // namespace wattle::artifacts
