// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/authority/authority.h"

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/set_clock_for_test.h"
#include "base/status_matchers.h"
#include "base/test_directory.h"

namespace wattle::authority {
namespace {

using testing::HasSubstr;

class AuthorityTest : public testing::Test {
 protected:
  std::unique_ptr<Authority> Open() {
    auto opened = Authority::Open(directory_.File("authority"), {{"hub"}, {"10.0.0.1"}}, clock_);
    EXPECT_THAT(opened, IsOk());
    return *std::move(opened);
  }
  std::string Read(const std::string& name) {
    return *ReadWholeFile(directory_.File("authority/" + name));
  }

  TestDirectory directory_;
  SetClock clock_{absl::FromUnixSeconds(1'800'000'000)};
};

TEST_F(AuthorityTest, IsTheSameAfterARestartAlsoWithoutTheRootsKey) {
  const std::string pin = Open()->pin();
  const std::string server = Read("server.pem");
  std::filesystem::remove(directory_.File("authority/root_key.pem"));
  const auto again = Open();
  EXPECT_EQ(again->pin(), pin);
  EXPECT_EQ(Read("server.pem"), server);
  EXPECT_FALSE(std::filesystem::exists(directory_.File("authority/root_key.pem")));
}

TEST_F(AuthorityTest, FilesAreForTheirUserAlone) {
  Open();
  struct stat facts = {};
  ASSERT_EQ(stat(directory_.File("authority").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0700U);
  for (const auto& entry : std::filesystem::directory_iterator(directory_.File("authority"))) {
    ASSERT_EQ(stat(entry.path().c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U) << entry.path();
  }
}

// A crash leaves some of the files: those that were written before the next one.
TEST_F(AuthorityTest, GoesOnAfterACrashAtAnyFile) {
  const std::string pin = Open()->pin();
  for (const char* lost : {"server.pem", "server_key.pem", "issuer.pem"}) {
    std::filesystem::remove(directory_.File("authority/") + lost);
    const auto again = Open();
    EXPECT_EQ(again->pin(), pin) << lost;
    EXPECT_THAT(tls::VerifyChain(Read("server.pem"), again->roots_pem(), tls::Use::kServer), IsOk())
        << lost;
  }
}

TEST_F(AuthorityTest, SignsADeviceFor30Days) {
  const auto authority = Open();
  const auto request = tls::ReadSigningRequest(*tls::NewSigningRequest(*tls::NewKey()));
  const auto chain = authority->SignClient(*request, "device", "d1");
  ASSERT_THAT(chain, IsOk());
  EXPECT_THAT(tls::VerifyChain(*chain, authority->roots_pem(), tls::Use::kClient), IsOk());
  const auto facts = tls::ReadCertificate(*chain);
  EXPECT_THAT(facts->uris, testing::ElementsAre("spiffe://" + authority->fleet() + "/device/d1"));
  EXPECT_EQ(facts->not_after, clock_.now + absl::Hours(30 * 24));
  EXPECT_EQ(facts->public_key_sha256, request->public_key_sha256);
}

TEST_F(AuthorityTest, RenewsItsOwnCertificateFromHalfOfItsLife) {
  const auto authority = Open();
  const std::string first = Read("server.pem");
  clock_.now += absl::Hours(44 * 24);
  EXPECT_THAT(authority->RenewServerCertificate(), IsOk());
  EXPECT_EQ(Read("server.pem"), first);
  clock_.now += absl::Hours(2 * 24);
  EXPECT_THAT(authority->RenewServerCertificate(), IsOk());
  EXPECT_NE(Read("server.pem"), first);
  EXPECT_EQ(tls::ReadCertificate(Read("server.pem"))->public_key_sha256,
            tls::ReadCertificate(first)->public_key_sha256)
      << "the key stays, so that the two files always match";
}

TEST_F(AuthorityTest, RenewsItsOwnCertificateForAFurtherName) {
  Open();
  const std::string first = Read("server.pem");
  Open();
  ASSERT_THAT(Authority::Open(directory_.File("authority"), {{"hub"}, {}}, clock_), IsOk());
  EXPECT_EQ(Read("server.pem"), first);
  const auto names_after = [&](const ServerNames& names) {
    EXPECT_THAT(Authority::Open(directory_.File("authority"), names, clock_), IsOk());
    const auto facts = tls::ReadCertificate(Read("server.pem"));
    std::vector<std::string> all = facts->dns_names;
    all.insert(all.end(), facts->addresses.begin(), facts->addresses.end());
    return all;
  };
  EXPECT_THAT(names_after({{"hub", "fleet.example.org"}, {"10.0.0.1"}}),
              testing::ElementsAre("hub", "fleet.example.org", "10.0.0.1"));
  EXPECT_THAT(names_after({{"hub"}, {"10.0.0.1", "fd00::1"}}),
              testing::ElementsAre("hub", "10.0.0.1", "fd00::1"));
}

// Prometheus wants a server's certificate with a name that it knows.
TEST_F(AuthorityTest, ADeviceServesAPageAndAPersonDoesNot) {
  const auto authority = Open();
  const auto request = tls::ReadSigningRequest(*tls::NewSigningRequest(*tls::NewKey()));
  const auto device = authority->SignClient(*request, "device", "d1");
  EXPECT_THAT(tls::VerifyChain(*device, authority->roots_pem(), tls::Use::kServer), IsOk());
  EXPECT_THAT(tls::ReadCertificate(*device)->dns_names, testing::ElementsAre(kWorkerDnsName));
  const auto person = authority->SignClient(*request, "person", "ann");
  EXPECT_FALSE(tls::VerifyChain(*person, authority->roots_pem(), tls::Use::kServer).ok());
  EXPECT_THAT(tls::ReadCertificate(*person)->dns_names, testing::IsEmpty());
}

TEST_F(AuthorityTest, RefusesAKeyThatOthersMayReadOrOfAnotherAuthority) {
  Open();
  const std::string key = directory_.File("authority/issuer_key.pem");
  ASSERT_EQ(chmod(key.c_str(), 0644), 0);
  EXPECT_THAT(Authority::Open(directory_.File("authority"), {}, clock_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chmod 600")));
  std::filesystem::remove(key);
  EXPECT_THAT(Authority::Open(directory_.File("authority"), {}, clock_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the key beside it")));
}

}  // namespace
}  // namespace wattle::authority
