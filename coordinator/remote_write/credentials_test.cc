// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/remote_write/credentials.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::remote_write {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kUrl[] = "https://prometheus.example/api/v1/write";
constexpr char kSecret[] = "correct horse battery staple";

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest()
      : path_(absl::StrCat(testing::TempDir(), "/secret_", getpid(), "_",
                           testing::UnitTest::GetInstance()->current_test_info()->name())) {}
  ~CredentialsTest() override { std::filesystem::remove(path_); }
  void Write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_) << text;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  static void ExpectRefused(const absl::Status& status, const std::string& says) {
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("horse")));
  }
  const std::string path_;
};

TEST_F(CredentialsTest, APasswordAndATokenBecomeAHeader) {
  Write(absl::StrCat(kSecret, "\n"));
  const Credentials password = {.user = "fleet", .password_file = path_};
  EXPECT_TRUE(CheckCredentials(kUrl, password).ok());
  EXPECT_EQ(AuthorizationHeader(password)->second,
            "Basic ZmxlZXQ6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==");
  const Credentials token = {.bearer_file = path_};
  EXPECT_TRUE(CheckCredentials(kUrl, token).ok());
  EXPECT_EQ(AuthorizationHeader(token)->second, absl::StrCat("Bearer ", kSecret));
  EXPECT_EQ(AuthorizationHeader({})->first, "");
}

TEST_F(CredentialsTest, ANewSecretCountsWithoutARestart) {
  Write("old\n");
  const Credentials token = {.bearer_file = path_};
  EXPECT_EQ(AuthorizationHeader(token)->second, "Bearer old");
  Write("new\n");
  EXPECT_EQ(AuthorizationHeader(token)->second, "Bearer new");
}

TEST_F(CredentialsTest, AFileThatOthersMayReadIsRefused) {
  Write(kSecret, 0640);  // the coordinator's group may
  EXPECT_TRUE(SecretIn(path_).ok());
  for (const mode_t mode : {0644, 0604, 0602, 0660}) {
    Write(kSecret, mode);
    ExpectRefused(SecretIn(path_).status(), absl::StrCat("chmod 600 ", path_));
    ExpectRefused(CheckCredentials(kUrl, {.bearer_file = path_}), "--remote-write-bearer-file");
  }
}

TEST_F(CredentialsTest, WhatIsNoSecretIsRefused) {
  ExpectRefused(SecretIn(path_ + ".none").status(), ".none: cannot read");
  for (const char* text : {"", "\n", "correct horse\nX-Header: 1\n", "horse\tstaple"}) {
    Write(text);
    ExpectRefused(SecretIn(path_).status(), "alone on one line");
  }
}

TEST_F(CredentialsTest, APasswordInTheUrlIsRefusedAndNotRepeated) {
  for (const char* url : {"https://fleet:horse@prometheus.example/api/v1/write",
                          "https://horse@prometheus.example/write", "fleet:horse@host/write"}) {
    ExpectRefused(CheckCredentials(url, {}), "--remote-write-password-file");
  }
  EXPECT_TRUE(CheckCredentials("https://prometheus.example/write/@fleet", {}).ok());
}

TEST_F(CredentialsTest, ASecretIsReadOnTheWayUnlessTheHostIsThisMachineOrTheUrlIsHttps) {
  for (const char* url : {"https://prometheus.example/write", "http://127.0.0.1:9090/write",
                          "http://127.8.8.8/write", "http://[::1]:9090/write", "http://[::1]/write",
                          "http://localhost/write", "http://localhost:9090/write"}) {
    EXPECT_FALSE(IsReadOnTheWay(url)) << url;
  }
  for (const char* url :
       {"http://prometheus.example/write", "http://localhost.example.com/write",
        "http://127.0.0.1.example.com:9090/write", "http://[::2]:9090/write",
        "http://10.0.0.1/write", "http://10.0.0.1?127.0.0.1/write", "http://[::1/write"}) {
    EXPECT_TRUE(IsReadOnTheWay(url)) << url;
  }
}

TEST_F(CredentialsTest, HalfOfAPairAndBothKindsAreRefused) {
  Write(kSecret);
  ExpectRefused(CheckCredentials(kUrl, {.user = "fleet"}), "give --remote-write-password-file");
  ExpectRefused(CheckCredentials(kUrl, {.password_file = path_}), "give --remote-write-user");
  ExpectRefused(CheckCredentials(kUrl, {.user = "fleet:horse", .password_file = path_}),
                "no user's name has a ':'");
  ExpectRefused(
      CheckCredentials(kUrl, {.user = "fleet", .password_file = path_, .bearer_file = path_}),
      "not together");
}

}  // namespace
}  // namespace wattle::remote_write
