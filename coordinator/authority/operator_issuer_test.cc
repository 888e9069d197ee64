// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A CA that an operator makes by the program openssl signs the fleet's issuer.
#include "coordinator/authority/operator_issuer.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/set_clock_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "coordinator/authority/authority.h"

namespace wattle::authority {
namespace {

using testing::HasSubstr;

class OperatorIssuerTest : public testing::Test {
 protected:
  OperatorIssuerTest() {
    MakeCa("ca", "ec -pkeyopt ec_paramgen_curve:P-384");
    MakeIssuer("issuer", "ca", "critical,CA:TRUE,pathlen:0");
  }

  void Run(const std::string& arguments) {
    const std::string command =
        absl::StrCat("cd ", directory_.File("."), " && umask 077 && openssl ", arguments,
                     " 2>openssl.err >openssl.out");
    // NOLINTNEXTLINE(concurrency-mt-unsafe,cert-env33-c): the operator's own program, one thread
    ASSERT_EQ(std::system(command.c_str()), 0) << *ReadWholeFile(directory_.File("openssl.err"));
  }
  void MakeCa(const std::string& name, const std::string& key) {
    Run(absl::StrCat("req -x509 -newkey ", key, " -nodes -days 3650 -subj /CN=", name, " -keyout ",
                     name, "_key.pem -out ", name, ".pem"));
  }
  // NAME.pem has the issuer and the root.
  void MakeIssuer(const std::string& name, const std::string& ca, const std::string& constraints,
                  const std::string& days = "365") {
    Run(absl::StrCat("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ", name,
                     "_key.pem"));
    Run(absl::StrCat("req -new -key ", name, "_key.pem -subj /CN=", name, " -out ", name, ".csr"));
    WriteText(name + ".ext",
              absl::StrCat("basicConstraints=", constraints,
                           "\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"));
    Run(absl::StrCat("x509 -req -in ", name, ".csr -CA ", ca, ".pem -CAkey ", ca,
                     "_key.pem -CAcreateserial -days ", days, " -extfile ", name, ".ext -out ",
                     name, "_alone.pem"));
    WriteText(name + ".pem", absl::StrCat(Read(name + "_alone.pem"), Read(ca + ".pem")));
  }
  void WriteText(const std::string& name, const std::string& text) {
    std::ofstream(directory_.File(name), std::ios::binary) << text;
  }
  std::string Read(const std::string& name) { return *ReadWholeFile(directory_.File(name)); }

  [[nodiscard]] OperatorIssuer Files(const std::string& name) const {
    return {.key_path = directory_.File(name + "_key.pem"),
            .chain_path = directory_.File(name + ".pem")};
  }
  absl::StatusOr<std::unique_ptr<Authority>> Open(const OperatorIssuer& issuer) {
    return Authority::Open(directory_.File("authority"), {{"hub"}, {}}, clock_, issuer);
  }
  absl::Status Refusal(const OperatorIssuer& issuer) { return Open(issuer).status(); }
  static auto IsRefused(const std::string& part) {
    return StatusIs(absl::StatusCode::kInvalidArgument,
                    testing::AllOf(HasSubstr(part), testing::Not(HasSubstr("\n"))));
  }

  TestDirectory directory_;
  SetClock clock_{absl::Now()};
};

TEST_F(OperatorIssuerTest, SignsUnderTheOperatorsRootAndKeepsNoKeyOfIt) {
  auto authority = Open(Files("issuer"));
  ASSERT_THAT(authority, IsOk());
  const auto request = tls::ReadSigningRequest(*tls::NewSigningRequest(*tls::NewKey()));
  const auto board = (*authority)->SignClient(*request, "device", "d1");
  ASSERT_THAT(board, IsOk());
  EXPECT_THAT(tls::VerifyChain(*board, Read("ca.pem"), tls::Use::kClient), IsOk());
  EXPECT_THAT(tls::VerifyChain(Read("authority/server.pem"), Read("ca.pem"), tls::Use::kServer),
              IsOk());
  EXPECT_THAT(tls::PinnedRoot(Read("authority/server.pem"), (*authority)->pin()), IsOk())
      << "a token that pins the root enrols";
  EXPECT_FALSE(std::filesystem::exists(directory_.File("authority/issuer_key.pem")));
  EXPECT_FALSE(std::filesystem::exists(directory_.File("authority/root_key.pem")));
  EXPECT_THAT((*authority)->PrepareRotation(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the CA that signed")));
}

TEST_F(OperatorIssuerTest, ALaterIssuerOfTheSameRootGoesOn) {
  const std::string pin = (*Open(Files("issuer")))->pin();
  MakeIssuer("later", "ca", "critical,CA:TRUE");
  auto later = Open(Files("later"));
  ASSERT_THAT(later, IsOk());
  EXPECT_EQ((*later)->pin(), pin);
  MakeCa("stranger", "ec -pkeyopt ec_paramgen_curve:P-384");
  MakeIssuer("foreign", "stranger", "critical,CA:TRUE");
  EXPECT_THAT(Refusal(Files("foreign")), IsRefused("has another root"));
}

TEST_F(OperatorIssuerTest, AnAuthorityOfItsOwnIsNotReplaced) {
  ASSERT_THAT(Open({}), IsOk());
  EXPECT_THAT(Refusal(Files("issuer")), IsRefused("has another root"));
}

TEST_F(OperatorIssuerTest, AWrongPairIsRefused) {
  MakeIssuer("other", "ca", "critical,CA:TRUE");
  OperatorIssuer mixed = Files("issuer");
  mixed.key_path = Files("other").key_path;
  EXPECT_THAT(Refusal(mixed), IsRefused("not of the key"));
  MakeIssuer("no_ca", "ca", "critical,CA:FALSE");
  EXPECT_THAT(Refusal(Files("no_ca")), IsRefused("basicConstraints CA:TRUE"));
  MakeCa("stranger", "ec -pkeyopt ec_paramgen_curve:P-384");
  WriteText("crossed.pem", absl::StrCat(Read("issuer_alone.pem"), Read("stranger.pem")));
  OperatorIssuer crossed = Files("issuer");
  crossed.chain_path = directory_.File("crossed.pem");
  EXPECT_THAT(Refusal(crossed), IsRefused("what it signs is not accepted"));
  crossed.chain_path = directory_.File("issuer_alone.pem");
  EXPECT_THAT(Refusal(crossed), IsRefused("has no root"));
  crossed.chain_path = directory_.File("ca.pem");
  EXPECT_THAT(Refusal(crossed), IsRefused("has no issuer"));
  crossed.chain_path = directory_.File("nowhere.pem");
  EXPECT_THAT(Refusal(crossed), IsRefused("--issuer-cert "));
  EXPECT_FALSE(std::filesystem::exists(directory_.File("authority/root.pem")));
}

TEST_F(OperatorIssuerTest, AnExpiredIssuerIsRefused) {
  clock_.now += absl::Hours(24 * 366);
  EXPECT_THAT(Refusal(Files("issuer")), IsRefused("have your CA sign a new one"));
}

TEST_F(OperatorIssuerTest, AKeyThatOthersMayReadOrOfAnotherTypeIsRefused) {
  OperatorIssuer issuer = Files("issuer");
  ASSERT_EQ(chmod(issuer.key_path.c_str(), 0640), 0);
  EXPECT_THAT(Refusal(issuer), IsRefused("chmod 600"));
  issuer.key_is_credential = true;
  EXPECT_THAT(Refusal(issuer), IsOk()) << "the service manager's own list of access";
  ASSERT_EQ(chmod(issuer.key_path.c_str(), 0644), 0);
  EXPECT_THAT(Refusal(issuer), IsRefused("chmod 600"));
  issuer = Files("issuer");
  issuer.key_path = directory_.File("ca_key.pem");
  EXPECT_THAT(Refusal(issuer), IsRefused("P-256"));
}

// The issuing key is a credential of the service manager, and the root's key is offline.
TEST_F(OperatorIssuerTest, TheFleetsOwnIssuingKeyMayLieElsewhere) {
  const std::string pin = (*Open({}))->pin();
  std::filesystem::rename(directory_.File("authority/issuer_key.pem"),
                          directory_.File("elsewhere_key.pem"));
  std::filesystem::remove(directory_.File("authority/root_key.pem"));
  EXPECT_THAT(Refusal({}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("give --issuer-key FILE")));
  EXPECT_FALSE(std::filesystem::exists(directory_.File("authority/issuer_key.pem")))
      << "no new key in its place";
  OperatorIssuer issuer = {.key_path = directory_.File("elsewhere_key.pem")};
  auto authority = Open(issuer);
  ASSERT_THAT(authority, IsOk());
  EXPECT_EQ((*authority)->pin(), pin);
  const auto request = tls::ReadSigningRequest(*tls::NewSigningRequest(*tls::NewKey()));
  EXPECT_THAT(tls::VerifyChain(*(*authority)->SignClient(*request, "device", "d1"),
                               (*authority)->roots_pem(), tls::Use::kClient),
              IsOk());
  EXPECT_THAT((*authority)->PrepareRotation(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("root_key.pem: the root's key is offline")));
  issuer.key_path = Files("issuer").key_path;
  EXPECT_THAT(Refusal(issuer), IsRefused("is not the key of"));
}

}  // namespace
}  // namespace wattle::authority
