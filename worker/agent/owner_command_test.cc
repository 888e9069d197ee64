// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/line_socket.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/agent/commands.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;

struct Printed {
  int code = 0;
  std::string out;
  std::string err;
};

Printed TypeAtBoard(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Printed printed;
  printed.code = RunOwnerCommand(static_cast<int>(argv.size()), argv.data());
  printed.out = testing::internal::GetCapturedStdout();
  printed.err = testing::internal::GetCapturedStderr();
  return printed;
}

TEST(OwnerCommandTest, AsksTheWorkerOfTheFolder) {
  const TestDirectory directory;
  std::string asked;
  LineAnswer answer{.exit_code = 0, .text = "held\n"};
  const auto socket = LineSocket::Listen(directory.File(kOwnerSocket), {.mode = 0660},
                                         [&](const std::string& request) {
                                           asked = request;
                                           return answer;
                                         });
  ASSERT_THAT(socket, IsOk());
  Printed printed = TypeAtBoard({"hold", "--for", "1h30m", "--state-dir", directory.path()});
  EXPECT_EQ(printed.code, 0) << printed.err;
  EXPECT_EQ(printed.out, "held\n");
  EXPECT_EQ(asked, "hold 5400.000");
  answer = {.exit_code = 1, .text = "the disk refuses"};
  printed = TypeAtBoard({"release", "--state-dir", directory.path()});
  EXPECT_EQ(printed.code, 1);
  EXPECT_EQ(printed.err, "wattle-worker release: the disk refuses\n");
  EXPECT_EQ(asked, "release");
}

TEST(OwnerCommandTest, WrongTimesAreRefusedInOneLine) {
  for (const auto& [time, why] : std::vector<std::pair<std::string, std::string>>{
           {"0s", "wanted above 0 and at most 720h (30 days)"},
           {"-1h", "wanted above 0"},
           {"721h", "at most 720h (30 days)"},
           {"inf", "at most 720h"},
           {"soon", "wanted a time such as 30m or 1h30m"},
           {"3600", "wanted a time such as 30m or 1h30m"}}) {
    const Printed printed = TypeAtBoard({"hold", "--for=" + time});
    EXPECT_EQ(printed.code, 2) << time;
    EXPECT_THAT(printed.err,
                testing::AllOf(HasSubstr("wattle-worker hold: --for " + time), HasSubstr(why)));
    EXPECT_EQ(std::count(printed.err.begin(), printed.err.end(), '\n'), 1) << printed.err;
  }
  EXPECT_EQ(TypeAtBoard({"hold"}).code, 2);
  EXPECT_EQ(TypeAtBoard({"status", "--for", "1h"}).code, 2);
}

TEST(OwnerCommandTest, AsksTheServiceWhereNoWorkerOfOnesOwnRuns) {
  const TestDirectory own;
  const TestDirectory service;
  EXPECT_EQ(FolderAtBoard(own.path(), service.path()), service.path());
  EXPECT_EQ(FolderAtBoard(own.path(), service.File("none")), own.path());
  own.Write(kOwnerSocket, "");
  EXPECT_EQ(FolderAtBoard(own.path(), service.path()), own.path());
}

TEST(OwnerCommandTest, WithoutAWorkerItSaysSo) {
  const TestDirectory directory;
  const Printed printed = TypeAtBoard({"status", "--state-dir", directory.path()});
  EXPECT_EQ(printed.code, 1);
  EXPECT_THAT(printed.err, HasSubstr("no worker listens there; start it"));
}

}  // namespace
}  // namespace wattle::agent
