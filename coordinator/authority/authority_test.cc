// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/authority/authority.h"

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/set_clock_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/tls/private_file.h"

namespace wattle::authority {
namespace {

using testing::ContainsRegex;
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

// A crash leaves some of the files: those written before the crash.
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
  std::filesystem::create_directory(directory_.File("authority/server.pem.partial"));
  EXPECT_FALSE(authority->RenewServerCertificate().ok());
  EXPECT_THAT(authority->RenewalProblem(),
              ContainsRegex("server.pem.*; trying again every hour; it ends on "));
  std::filesystem::remove(directory_.File("authority/server.pem.partial"));
  EXPECT_THAT(authority->RenewServerCertificate(), IsOk());
  EXPECT_EQ(authority->RenewalProblem(), "");
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

// Prometheus requires a server's certificate with a known name.
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
  for (const char* name : {"issuer_key.pem", "server_key.pem", "root_key.pem"}) {
    const std::string path = directory_.File(absl::StrCat("authority/", name));
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    EXPECT_THAT(Authority::Open(directory_.File("authority"), {}, clock_),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         testing::AllOf(HasSubstr(name), HasSubstr("chmod 600"))));
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  }
  const std::string key = directory_.File("authority/issuer_key.pem");
  ASSERT_THAT(tls::WritePrivateFile(key, *tls::NewKey()), IsOk());
  EXPECT_THAT(Authority::Open(directory_.File("authority"), {}, clock_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the key beside it")));
}

class RotationTest : public AuthorityTest {
 protected:
  static std::string Signed(const Authority& authority) {
    const auto request = tls::ReadSigningRequest(*tls::NewSigningRequest(*tls::NewKey()));
    return *authority.SignClient(*request, "device", "d1");
  }
  static std::string Rotate(Authority& authority) {
    const auto root = authority.PrepareRotation();
    EXPECT_THAT(root, IsOk());
    EXPECT_THAT(authority.Rotate(), IsOk());
    return *root;
  }
};

TEST_F(RotationTest, TwoRootsAreTrustedUntilTheOldOneIsRetired) {
  const auto authority = Open();
  const std::string fleet = authority->fleet();
  const std::string old_pin = authority->pin();
  const std::string old_root = authority->roots_pem();
  const std::string before = Signed(*authority);
  const std::string new_root = Rotate(*authority);
  EXPECT_EQ(tls::ToHex(new_root), authority->pin());
  EXPECT_NE(authority->pin(), old_pin);
  EXPECT_EQ(authority->fleet(), fleet);
  const std::string after = Signed(*authority);
  for (const std::string& chain : {before, after}) {
    EXPECT_THAT(tls::VerifyChain(chain, authority->roots_pem(), tls::Use::kClient), IsOk());
    // A program that has only the old root accepts certificates signed under the new one.
    EXPECT_THAT(tls::VerifyChain(chain, old_root, tls::Use::kClient), IsOk());
  }
  EXPECT_EQ(authority->RootOf(after), new_root);
  EXPECT_EQ(tls::ToHex(authority->RootOf(before)), old_pin);
  const std::string server = Read("server.pem");
  EXPECT_THAT(tls::VerifyChain(server, old_root, tls::Use::kServer), IsOk());
  for (const std::string& pin : {old_pin, authority->pin()}) {
    const auto pinned = tls::PinnedRoot(server, pin);
    ASSERT_THAT(pinned, IsOk());
    EXPECT_THAT(tls::VerifyChain(server, *pinned, tls::Use::kServer), IsOk()) << pin;
  }
  EXPECT_THAT(authority->PrepareRotation(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("access retire-ca")));

  ASSERT_EQ(authority->Roots().size(), 2U);
  EXPECT_THAT(authority->Retire(new_root),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("this root signs")));
  ASSERT_THAT(authority->Retire(authority->Roots()[1].sha256), IsOk());
  ASSERT_EQ(authority->Roots().size(), 1U);
  EXPECT_FALSE(tls::VerifyChain(before, authority->roots_pem(), tls::Use::kClient).ok());
  EXPECT_THAT(tls::VerifyChain(after, authority->roots_pem(), tls::Use::kClient), IsOk());
  EXPECT_FALSE(tls::VerifyChain(Read("server.pem"), old_root, tls::Use::kServer).ok());
  EXPECT_FALSE(tls::VerifyChain(Signed(*authority), old_root, tls::Use::kClient).ok());
  EXPECT_THAT(tls::PinnedRoot(Read("server.pem"), old_pin),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("ask for a new token")));
  Rotate(*authority);  // And again.
  EXPECT_EQ(authority->fleet(), fleet);
}

TEST_F(RotationTest, ARestartAtAnyStepGoesOn) {
  auto authority = Open();
  const std::string fleet = authority->fleet();
  const std::string old_pin = authority->pin();
  ASSERT_THAT(authority->PrepareRotation(), IsOk());
  authority = Open();  // After the keys, before the rename.
  EXPECT_EQ(authority->pin(), old_pin);
  EXPECT_FALSE(std::filesystem::exists(directory_.File("authority/2.partial")));
  ASSERT_THAT(authority->PrepareRotation(), IsOk());
  std::filesystem::rename(directory_.File("authority/2.partial"), directory_.File("authority/2"));
  authority = Open();  // After the rename, before the coordinator's own certificate.
  EXPECT_NE(authority->pin(), old_pin);
  EXPECT_EQ(authority->Roots().size(), 2U);
  EXPECT_EQ(authority->fleet(), fleet);
  EXPECT_THAT(tls::PinnedRoot(Read("server.pem"), authority->pin()), IsOk());
  std::filesystem::remove(directory_.File("authority/root.pem"));
  authority = Open();  // In the middle of a retirement.
  EXPECT_EQ(authority->Roots().size(), 1U);
  EXPECT_EQ(authority->fleet(), fleet);
  EXPECT_FALSE(std::filesystem::exists(directory_.File("authority/issuer_key.pem")));
  EXPECT_FALSE(tls::PinnedRoot(Read("server.pem"), old_pin).ok());
  Rotate(*authority);
  std::filesystem::remove(directory_.File("authority/2/root.pem"));
  authority = Open();
  EXPECT_EQ(authority->Roots().size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(directory_.File("authority/2")));
}

TEST_F(RotationTest, WantsTheKeyOfThePresentRoot) {
  const auto authority = Open();
  std::filesystem::rename(directory_.File("authority/root_key.pem"), directory_.File("offline"));
  EXPECT_THAT(authority->PrepareRotation(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("put it back")));
  std::filesystem::rename(directory_.File("offline"), directory_.File("authority/root_key.pem"));
  Rotate(*authority);
  for (const char* name : {"2", "2/root_key.pem", "2/issuer_key.pem", "fleet"}) {
    struct stat facts = {};
    ASSERT_EQ(stat(directory_.File(std::string("authority/") + name).c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0077U, 0U) << name;
  }
}

}  // namespace
}  // namespace wattle::authority
