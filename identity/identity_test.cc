// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The folder of an identity; enrolment and renewal over real TLS are in tests/attacks.
#include "identity/identity.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/tls/certificate.h"
#include "base/tls/token.h"
#include "identity/enroll.h"

namespace wattle::identity {
namespace {

using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class IdentityTest : public testing::Test {
 protected:
  // An answer for the key of this request.
  static v1::IdentityCertificate AnswerTo(const std::string& request_pem) {
    const std::string root_key = *tls::NewKey();
    v1::IdentityCertificate answer;
    answer.set_roots_pem(*tls::SignCertificate({.use = tls::Use::kRoot,
                                                .public_key_pem = *tls::PublicKeyOf(root_key),
                                                .common_name = "root",
                                                .not_before = kNow,
                                                .not_after = kNow + absl::Hours(48)},
                                               "", root_key));
    answer.set_certificate_pem(*tls::SignCertificate(
        {.use = tls::Use::kClient,
         .public_key_pem = tls::ReadSigningRequest(request_pem)->public_key_pem,
         .common_name = "d1",
         .uri = "spiffe://f1/device/d1",
         .not_before = kNow,
         .not_after = kNow + absl::Hours(48)},
        answer.roots_pem(), root_key));
    return answer;
  }

  TestDirectory directory_;
  const std::string folder_ = directory_.File("credentials");
};

TEST_F(IdentityTest, ComesBackAsItWasKept) {
  EXPECT_THAT(Load(folder_), StatusIs(absl::StatusCode::kNotFound, testing::_));
  const std::string request = *SigningRequestOf(folder_);
  EXPECT_THAT(Load(folder_), StatusIs(absl::StatusCode::kNotFound, testing::_));
  ASSERT_THAT(Keep(folder_, AnswerTo(request), "hub:7410"), IsOk());
  const auto identity = Load(folder_);
  ASSERT_THAT(identity, IsOk());
  EXPECT_EQ(identity->id(), "d1");
  EXPECT_EQ(identity->coordinator, "hub:7410");
  EXPECT_FALSE(RenewalIsDue(*identity, kNow + absl::Hours(24)));
  EXPECT_TRUE(RenewalIsDue(*identity, kNow + absl::Hours(25)));
}

// A lost answer is asked for again by the same bytes.
TEST_F(IdentityTest, ARequestStaysTheSameAndACrashLosesNoKey) {
  const std::string first = *SigningRequestOf(folder_);
  EXPECT_EQ(*SigningRequestOf(folder_), first);
  std::filesystem::remove(folder_ + "/request.pem");
  const std::string second = *SigningRequestOf(folder_);
  EXPECT_EQ(tls::ReadSigningRequest(second)->public_key_sha256,
            tls::ReadSigningRequest(first)->public_key_sha256);
}

TEST_F(IdentityTest, ACertificateOfAnotherKeyIsRefused) {
  ASSERT_THAT(SigningRequestOf(folder_), IsOk());
  const std::string other = *tls::NewSigningRequest(*tls::NewKey());
  ASSERT_THAT(Keep(folder_, AnswerTo(other), "hub:7410"), IsOk());
  EXPECT_THAT(Load(folder_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("enrol again")));
}

TEST_F(IdentityTest, ANameIsReadWhereItsKeyIsOfNoUse) {
  EXPECT_THAT(UriIn(folder_), StatusIs(absl::StatusCode::kNotFound, testing::_));
  ASSERT_THAT(Keep(folder_, AnswerTo(*SigningRequestOf(folder_)), "hub:7410"), IsOk());
  std::filesystem::remove(folder_ + "/key.pem");
  EXPECT_EQ(*UriIn(folder_), "spiffe://f1/device/d1");
}

TEST_F(IdentityTest, WhereNobodyAnswersTheRemedyIsTold) {
  const tls::Token token = {"127.0.0.1:1", "0123456789abcdef", std::string(32, 'a'),
                            std::string(64, 'b')};
  EXPECT_THAT(Enroll(folder_, tls::FormatToken(token), "d1"),
              StatusIs(absl::StatusCode::kUnavailable,
                       "coordinator 127.0.0.1:1: connection refused; start it, or ask for a token "
                       "whose --address this machine can reach"));
}

TEST_F(IdentityTest, KeysAreForTheirUserAlone) {
  ASSERT_THAT(SigningRequestOf(folder_), IsOk());
  EXPECT_EQ(std::filesystem::status(folder_).permissions(), std::filesystem::perms::owner_all);
  std::filesystem::permissions(folder_ + "/key.pem", std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  EXPECT_THAT(SigningRequestOf(folder_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chmod 600")));
}

}  // namespace
}  // namespace wattle::identity
