// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/line_socket.h"

#include <sys/stat.h>

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle {
namespace {

using testing::HasSubstr;

LineAnswer Echo(const std::string& request) {
  return {.exit_code = 3, .text = "asked: " + request + "\nall of it"};
}

TEST(LineSocketTest, OneLineIsAskedAndTheAnswerComesWhole) {
  const TestDirectory directory;
  const std::string path = directory.File("owner.sock");
  const auto socket = LineSocket::Listen(path, {.mode = 0660}, Echo);
  ASSERT_THAT(socket, IsOk());
  for (int i = 0; i < 3; ++i) {
    const auto answer = AskLineSocket(path, "worker", "hold 3600");
    ASSERT_THAT(answer, IsOk());
    EXPECT_EQ(answer->exit_code, 3);
    EXPECT_EQ(answer->text, "asked: hold 3600\nall of it");
  }
}

TEST(LineSocketTest, IsForTheUserAndTheGroupAlone) {
  const TestDirectory directory;
  const std::string path = directory.File("owner.sock");
  const auto socket = LineSocket::Listen(path, {.mode = 0660}, Echo);
  ASSERT_THAT(socket, IsOk());
  struct stat about = {};
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0660);
}

TEST(LineSocketTest, TakesThePlaceOfASocketThatAKilledWorkerLeft) {
  const TestDirectory directory;
  const std::string path = directory.File("owner.sock");
  directory.Write("owner.sock", "left");
  {
    const auto socket = LineSocket::Listen(path, {.mode = 0660}, Echo);
    ASSERT_THAT(socket, IsOk());
    EXPECT_THAT(AskLineSocket(path, "worker", "status"), IsOk());
  }
  EXPECT_THAT(AskLineSocket(path, "worker", "status"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no worker listens there")));
}

TEST(LineSocketTest, APathThatIsTooLongIsNamed) {
  const std::string path = "/" + std::string(200, 'x');
  EXPECT_THAT(LineSocket::Listen(path, {.mode = 0660}, Echo),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 107 characters")));
  EXPECT_THAT(AskLineSocket(path, "worker", "status"),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
}

TEST(LineSocketTest, ALongRequestIsCutAndAnswered) {
  const TestDirectory directory;
  const std::string path = directory.File("owner.sock");
  const auto socket = LineSocket::Listen(path, {.mode = 0660}, Echo);
  ASSERT_THAT(socket, IsOk());
  const auto answer = AskLineSocket(path, "worker", std::string(1000, 'x'));
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->text, "asked: " + std::string(200, 'x') + "\nall of it");
}

}  // namespace
}  // namespace wattle
