// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/authority/sealed_copy.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/set_clock_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/tls/encrypted_key.h"
#include "coordinator/authority/authority.h"

namespace wattle::authority {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kPassphrase[] = "correct horse battery staple";

class SealedCopyTest : public testing::Test {
 protected:
  SealedCopyTest() {
    const auto authority = Open("authority");
    EXPECT_THAT(authority->PrepareRotation(), IsOk());
    EXPECT_THAT(authority->Rotate(), IsOk()) << "two generations";
    roots_ = authority->roots_pem();
  }
  std::unique_ptr<Authority> Open(const std::string& folder) {
    auto authority =
        Authority::Open(Path(folder), {.dns_names = {"localhost"}, .addresses = {}}, clock_);
    EXPECT_THAT(authority, IsOk());
    return *std::move(authority);
  }
  [[nodiscard]] std::string Path(const std::string& name) const { return directory_.File(name); }

  TestDirectory directory_;
  SetClock clock_{absl::FromUnixSeconds(1'800'000'000)};
  std::string roots_;
};

TEST_F(SealedCopyTest, ComesBackAsItWasAndKeysAreNowhereInIt) {
  ASSERT_THAT(SealFolder(Path("authority"), Path("sealed"), kPassphrase), IsOk());
  int keys = 0;
  for (const auto& entry : fs::recursive_directory_iterator(Path("sealed"))) {
    if (entry.is_regular_file()) {
      const std::string text = *ReadWholeFile(entry.path().string());
      EXPECT_FALSE(tls::HasPlainKey(text)) << entry.path();
      keys += absl::StrContains(text, "ENCRYPTED PRIVATE KEY") ? 1 : 0;
      struct stat status = {};
      ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry.path();
    }
  }
  EXPECT_GE(keys, 5) << "of the server, and of two roots and their issuers";
  ASSERT_THAT(OpenFolder(Path("sealed"), Path("again"), kPassphrase), IsOk());
  for (const auto& entry : fs::recursive_directory_iterator(Path("authority"))) {
    if (entry.is_regular_file()) {
      const fs::path copy = Path("again") / fs::relative(entry.path(), Path("authority"));
      EXPECT_EQ(*ReadWholeFile(copy.string()), *ReadWholeFile(entry.path().string())) << copy;
    }
  }
  EXPECT_EQ(Open("again")->roots_pem(), roots_);
}

TEST_F(SealedCopyTest, AnAuthorityWhoseFirstRootIsRetiredComesBackToo) {
  {
    const auto authority = Open("authority");
    ASSERT_THAT(authority->Retire(authority->Roots()[1].sha256), IsOk());
    roots_ = authority->roots_pem();
  }
  ASSERT_THAT(SealFolder(Path("authority"), Path("sealed"), kPassphrase), IsOk());
  ASSERT_THAT(OpenFolder(Path("sealed"), Path("again"), kPassphrase), IsOk());
  const auto again = Open("again");
  EXPECT_EQ(again->Roots().size(), 1);
  EXPECT_EQ(again->roots_pem(), roots_);
}

TEST_F(SealedCopyTest, AnotherPassphraseOpensNothingAndWritesNothing) {
  ASSERT_THAT(SealFolder(Path("authority"), Path("sealed"), kPassphrase), IsOk());
  EXPECT_THAT(OpenFolder(Path("sealed"), Path("again"), "correct horse battery stapler"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("the passphrase is another one"), Not(HasSubstr("\n")))));
  EXPECT_FALSE(fs::exists(Path("again")));
}

TEST_F(SealedCopyTest, NoAuthorityIsReplaced) {
  ASSERT_THAT(SealFolder(Path("authority"), Path("sealed"), kPassphrase), IsOk());
  EXPECT_EQ(OpenFolder(Path("sealed"), Path("authority"), kPassphrase).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(SealFolder(Path("nowhere"), Path("sealed"), kPassphrase).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(SealedCopyTest, APassphraseIsTheFirstLineOfAPrivateFile) {
  const auto write = [this](const std::string& text, mode_t mode) {
    std::ofstream(Path("words")) << text;
    chmod(Path("words").c_str(), mode);
    return ReadPassphrase(Path("words"));
  };
  EXPECT_EQ(*write("a long passphrase\r\nmore", 0600), "a long passphrase");
  EXPECT_EQ(write("short\n", 0600).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(write("a long passphrase\n", 0644).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadPassphrase(Path("none")).status().code(), absl::StatusCode::kNotFound);
}

TEST(EncryptedKeyTest, IsRefusedWhereItIsNone) {
  EXPECT_EQ(tls::EncryptKey("no key", kPassphrase).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(tls::DecryptKey("no key", kPassphrase).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace wattle::authority
