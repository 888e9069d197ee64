// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/owner_socket.h"

#include <sys/stat.h>

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"
#include "base/test_directory.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;

OwnerAnswer Echo(const std::string& request) {
  return {.exit_code = 3, .text = "asked: " + request + "\nall of it"};
}

TEST(OwnerSocketTest, OneLineIsAskedAndTheAnswerComesWhole) {
  const TestDirectory directory;
  const std::string path = directory.File("owner.sock");
  const auto socket = OwnerSocket::Listen(path, Echo);
  ASSERT_THAT(socket, IsOk());
  for (int i = 0; i < 3; ++i) {
    const auto answer = AskWorker(path, "hold 3600");
    ASSERT_THAT(answer, IsOk());
    EXPECT_EQ(answer->exit_code, 3);
    EXPECT_EQ(answer->text, "asked: hold 3600\nall of it");
  }
}

TEST(OwnerSocketTest, IsForTheUserAndTheGroupAlone) {
  const TestDirectory directory;
  const std::string path = directory.File("owner.sock");
  const auto socket = OwnerSocket::Listen(path, Echo);
  ASSERT_THAT(socket, IsOk());
  struct stat about = {};
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0660);
}

TEST(OwnerSocketTest, TakesThePlaceOfASocketThatAKilledWorkerLeft) {
  const TestDirectory directory;
  const std::string path = directory.File("owner.sock");
  directory.Write("owner.sock", "left");
  {
    const auto socket = OwnerSocket::Listen(path, Echo);
    ASSERT_THAT(socket, IsOk());
    EXPECT_THAT(AskWorker(path, "status"), IsOk());
  }
  EXPECT_THAT(AskWorker(path, "status"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no worker listens there")));
}

TEST(OwnerSocketTest, APathThatIsTooLongIsNamed) {
  const std::string path = "/" + std::string(200, 'x');
  EXPECT_THAT(OwnerSocket::Listen(path, Echo),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 107 characters")));
  EXPECT_THAT(AskWorker(path, "status"), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
}

TEST(OwnerSocketTest, ALongRequestIsCutAndAnswered) {
  const TestDirectory directory;
  const std::string path = directory.File("owner.sock");
  const auto socket = OwnerSocket::Listen(path, Echo);
  ASSERT_THAT(socket, IsOk());
  const auto answer = AskWorker(path, std::string(1000, 'x'));
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->text, "asked: " + std::string(200, 'x') + "\nall of it");
}

}  // namespace
}  // namespace wattle::agent
