// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Held against the `openssl` command where it is there.
#include "base/tls/certificate.h"

#include <sys/stat.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/tls/private_file.h"

namespace wattle::tls {
namespace {

using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

struct Signer {
  std::string key;
  std::string certificate;
};

Signer MakeSigner(Use use, const std::string& name, const Signer* issuer) {
  Signer signer;
  signer.key = *NewKey();
  signer.certificate = *SignCertificate({.use = use,
                                         .public_key_pem = *PublicKeyOf(signer.key),
                                         .common_name = name,
                                         .uri = use == Use::kClient ? "spiffe://f/person/x" : "",
                                         .not_before = kNow,
                                         .not_after = kNow + absl::Hours(24)},
                                        issuer == nullptr ? "" : issuer->certificate,
                                        issuer == nullptr ? signer.key : issuer->key);
  return signer;
}

class CertificateTest : public testing::Test {
 protected:
  // Whether the command succeeds, with its files in the test's directory.
  bool Run(const std::string& command) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe,cert-env33-c): one thread, no word of others
    return std::system(
               absl::StrCat("cd ", directory_.File("."), " && ", command, " >/dev/null 2>&1")
                   .c_str()) == 0;
  }
  std::string Read(const std::string& name) { return *ReadWholeFile(directory_.File(name)); }

  TestDirectory directory_;
  const Signer root_ = MakeSigner(Use::kRoot, "root", nullptr);
  const Signer issuer_ = MakeSigner(Use::kIssuer, "issuer", &root_);
  const Signer client_ = MakeSigner(Use::kClient, "client", &issuer_);
};

TEST_F(CertificateTest, AChainIsOfItsRootAndForItsUse) {
  const std::string chain = client_.certificate + issuer_.certificate;
  EXPECT_THAT(VerifyChain(chain, root_.certificate, Use::kClient), IsOk());
  EXPECT_THAT(VerifyChain(chain, root_.certificate, Use::kServer),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("purpose")));
  EXPECT_THAT(VerifyChain(client_.certificate, root_.certificate, Use::kClient),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("issuer")));
  const Signer other = MakeSigner(Use::kRoot, "root", nullptr);
  EXPECT_THAT(VerifyChain(chain, other.certificate, Use::kClient),
              StatusIs(absl::StatusCode::kUnauthenticated, testing::_));
  EXPECT_THAT(VerifyChain("", root_.certificate, Use::kClient),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("no certificate")));
  // A client is no issuer.
  const Signer forged = MakeSigner(Use::kClient, "forged", &client_);
  EXPECT_THAT(VerifyChain(forged.certificate + chain, root_.certificate, Use::kClient),
              StatusIs(absl::StatusCode::kUnauthenticated, testing::_));
}

// With more fleets than the cache holds, and several threads, each chain leads only to its own
// root.
TEST_F(CertificateTest, WhatIsKeptOfOneFleetServesNoOther) {
  struct Fleet {
    Signer root = MakeSigner(Use::kRoot, "root", nullptr);
    Signer issuer = MakeSigner(Use::kIssuer, "issuer", &root);
    std::string chain =
        MakeSigner(Use::kClient, "client", &issuer).certificate + issuer.certificate;
  };
  const std::vector<Fleet> fleets(18);
  const auto judge_all = [&fleets] {
    for (size_t i = 0; i < fleets.size(); ++i) {
      const Fleet& other = fleets[(i + 1) % fleets.size()];
      EXPECT_THAT(VerifyChain(fleets[i].chain, fleets[i].root.certificate, Use::kClient), IsOk());
      EXPECT_FALSE(VerifyChain(fleets[i].chain, other.root.certificate, Use::kClient).ok());
      EXPECT_FALSE(VerifyChain(fleets[i].chain, fleets[i].root.certificate, Use::kServer).ok());
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back(judge_all);
  }
}

TEST_F(CertificateTest, WhatOnceWasARootIsNoneInAChain) {
  const Signer other = MakeSigner(Use::kRoot, "other", nullptr);
  const std::string chain = client_.certificate + issuer_.certificate;
  EXPECT_THAT(VerifyChain(chain, other.certificate + root_.certificate, Use::kClient), IsOk());
  EXPECT_FALSE(VerifyChain(root_.certificate + chain, other.certificate, Use::kClient).ok());
}

TEST_F(CertificateTest, ExpiryIsJudgedAtTheTimeGiven) {
  EXPECT_THAT(CheckExpiry(client_.certificate, kNow + absl::Hours(23)), IsOk());
  EXPECT_THAT(CheckExpiry(client_.certificate, kNow + absl::Hours(25)),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("expired")));
  EXPECT_THAT(CheckExpiry(client_.certificate, absl::UnixEpoch()), IsOk());
}

TEST_F(CertificateTest, ThePinNamesTheRoot) {
  const std::string pin = ToHex(ReadCertificate(root_.certificate)->public_key_sha256);
  const std::string chain = client_.certificate + issuer_.certificate + root_.certificate;
  EXPECT_EQ(*PinnedRoot(chain, pin), root_.certificate);
  EXPECT_THAT(PinnedRoot(client_.certificate, pin),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("another coordinator")));
}

TEST_F(CertificateTest, FactsAreThoseOfTheCertificate) {
  const auto facts = ReadCertificate(client_.certificate);
  ASSERT_THAT(facts, IsOk());
  EXPECT_THAT(facts->uris, testing::ElementsAre("spiffe://f/person/x"));
  EXPECT_EQ(facts->not_before, kNow);
  EXPECT_EQ(facts->not_after, kNow + absl::Hours(24));
  EXPECT_EQ(facts->public_key_sha256, *PublicKeySha256(*PublicKeyOf(client_.key)));
  EXPECT_THAT(ReadCertificate("nonsense"),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
}

TEST_F(CertificateTest, OpenSslsCommandAgrees) {
  if (!Run("openssl version")) {
    GTEST_SKIP() << "no openssl command here";
  }
  directory_.Write("root.pem", root_.certificate);
  directory_.Write("issuer.pem", issuer_.certificate);
  directory_.Write("client.pem", client_.certificate);
  directory_.Write("request.pem", *NewSigningRequest(client_.key));
  const std::string verify = absl::StrCat("openssl verify -attime ", absl::ToUnixSeconds(kNow) + 60,
                                          " -CAfile root.pem -untrusted issuer.pem -purpose ");
  EXPECT_TRUE(Run(verify + "sslclient client.pem"));
  EXPECT_FALSE(Run(verify + "sslserver client.pem"));
  EXPECT_TRUE(Run("openssl req -in request.pem -verify -noout"));
}

TEST_F(CertificateTest, BadRequestsAreRefused) {
  const auto good = ReadSigningRequest(*NewSigningRequest(client_.key));
  ASSERT_THAT(good, IsOk());
  EXPECT_EQ(good->public_key_sha256, *PublicKeySha256(*PublicKeyOf(client_.key)));
  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {"", "not PKCS #10"},
           {client_.certificate, "not PKCS #10"},
           {client_.key, "not PKCS #10"},
           {std::string(1 << 20, 'x'), "1048576 bytes, at most 4096"}}) {
    EXPECT_THAT(ReadSigningRequest(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(says)));
  }
  if (!Run("openssl version")) {
    GTEST_SKIP() << "no openssl command here";
  }
  directory_.Write("key.pem", client_.key);
  ASSERT_TRUE(Run("openssl req -new -newkey rsa:2048 -nodes -keyout r.pem -subj / -out rsa.pem"));
  EXPECT_THAT(ReadSigningRequest(Read("rsa.pem")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("P-256")));
  ASSERT_TRUE(Run("openssl req -new -key key.pem -subj /CN=admin -out named.pem"));
  EXPECT_THAT(ReadSigningRequest(Read("named.pem")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("asks for names")));
  ASSERT_TRUE(
      Run("openssl req -new -key key.pem -subj / -addext "
          "subjectAltName=URI:spiffe://f/person/root -out extended.pem"));
  EXPECT_THAT(ReadSigningRequest(Read("extended.pem")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("asks for names")));
  // The last byte of the signature is another.
  ASSERT_TRUE(
      Run("openssl req -new -key key.pem -subj / -outform DER -out r.der && "
          "head -c -1 r.der > f.der && tail -c 1 r.der | tr '\\000-\\377' '\\001-\\377\\000' "
          ">> f.der && openssl req -inform DER -in f.der -out forged.pem"));
  EXPECT_THAT(ReadSigningRequest(Read("forged.pem")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("own key")));
}

TEST_F(CertificateTest, AKeyThatOthersMayReadIsRefused) {
  const std::string folder = directory_.File("private");
  ASSERT_THAT(MakePrivateDirectory(folder), IsOk());
  ASSERT_THAT(WritePrivateFile(folder + "/key.pem", client_.key), IsOk());
  EXPECT_THAT(ReadPrivateFile(folder + "/key.pem"), IsOk());
  ASSERT_EQ(chmod((folder + "/key.pem").c_str(), 0640), 0);
  EXPECT_THAT(ReadPrivateFile(folder + "/key.pem"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("others may read this key; chmod 600 it, and enrol anew if")));
  EXPECT_THAT(
      ReadPrivateFile(folder + "/key.pem", {.what = "passphrase", .remedy = "take another"}),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("this passphrase; chmod 600 it, and take another if")));
  EXPECT_THAT(ReadPrivateFile(folder + "/none"), StatusIs(absl::StatusCode::kNotFound, testing::_));
}

}  // namespace
}  // namespace wattle::tls
