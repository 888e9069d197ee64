// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/signers/signers.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::artifacts {
namespace {

using testing::HasSubstr;

const std::string kModel(64, 'a');
const std::string kOther(64, 'b');

// Keys and some signatures are OpenSSL's own program's, so that the format is a common one.
class SignersTest : public testing::Test {
 protected:
  static void Run(const std::string& command) {
    ASSERT_EQ(std::system(absl::StrCat(command, " 2>/dev/null").c_str()), 0) << command;
  }
  std::string File(const std::string& name) { return directory_.File(name); }
  // Makes a key of the type, whose public half is trusted under the name.
  std::string NewKey(const std::string& name, const std::string& type, bool trusted = true) {
    Run(absl::StrCat("openssl genpkey -algorithm ", type, " -out ", File(name)));
    std::filesystem::create_directories(File("signers"));
    Run(absl::StrCat("openssl pkey -in ", File(name), " -pubout -out ",
                     trusted ? File("signers/" + name) : File(name + ".public")));
    return *ReadWholeFile(File(name));
  }
  Signers Trusted() {
    auto signers = Signers::Load(File("signers"));
    EXPECT_THAT(signers, IsOk());
    return *signers;
  }

  static constexpr char kP256[] = "EC -pkeyopt ec_paramgen_curve:P-256";
  TestDirectory directory_;
};

TEST_F(SignersTest, ASignatureIsGoodForItsArtifactAndSignerAlone) {
  const std::string ann = NewKey("ann", kP256);
  const std::string bob = NewKey("bob", "ED25519");
  const std::string eve = NewKey("eve", kP256, /*trusted=*/false);
  const Signers signers = Trusted();
  for (const auto& [name, key] : {std::pair("ann", ann), std::pair("bob", bob)}) {
    auto signature = SignArtifact(key, name, kModel);
    ASSERT_THAT(signature, IsOk());
    EXPECT_THAT(signers.Check(kModel, *signature), IsOk());
    EXPECT_THAT(signers.Check(kOther, *signature),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not of this artifact")));
    signature->set_signer(name == std::string("ann") ? "bob" : "ann");
    EXPECT_FALSE(signers.Check(kModel, *signature).ok()) << "a key of another signer";
    signature->set_signer(name);
    (*signature->mutable_signature())[5] ^= 1;
    EXPECT_FALSE(signers.Check(kModel, *signature).ok()) << "a changed signature";
  }
  EXPECT_THAT(signers.Check(kModel, *SignArtifact(eve, "eve", kModel)),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("\"eve\" is not among")));
  EXPECT_FALSE(signers.Check(kModel, *SignArtifact(eve, "ann", kModel)).ok()) << "eve as ann";
}

TEST_F(SignersTest, OneSoundSignatureIsEnough) {
  const std::string ann = NewKey("ann", kP256);
  const Signers signers = Trusted();
  v1::ArtifactInfo info;
  EXPECT_THAT(
      signers.CheckOneOf(kModel, info.signatures()),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("signed by nobody; one of")));
  *info.add_signatures() = *SignArtifact(ann, "ann", kOther);
  EXPECT_THAT(signers.CheckOneOf(kModel, info.signatures()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("(ann) signs it with 'wattle model sign NAME --key FILE'")));
  *info.add_signatures() = *SignArtifact(ann, "ann", kModel);
  EXPECT_THAT(signers.CheckOneOf(kModel, info.signatures()), IsOk());
}

TEST_F(SignersTest, OpenSslsOwnProgramVerifiesAndMakesThem) {
  for (const auto& [name, type] : {std::pair("ann", kP256), std::pair("bob", "ED25519")}) {
    const std::string key = NewKey(name, type);
    std::ofstream(File("text")) << "wattle artifact " << kModel;
    std::ofstream(File("ours")) << SignArtifact(key, name, kModel)->signature();
    const std::string raw = name == std::string("bob") ? " -rawin" : " -rawin -digest sha256";
    Run(absl::StrCat("openssl pkeyutl -verify -pubin -inkey ", File("signers/"), name, " -sigfile ",
                     File("ours"), " -in ", File("text"), raw));
    Run(absl::StrCat("openssl pkeyutl -sign -inkey ", File(name), " -out ", File("theirs"), " -in ",
                     File("text"), raw));
    v1::ArtifactSignature theirs;
    theirs.set_signer(name);
    theirs.set_signature(*ReadWholeFile(File("theirs")));
    EXPECT_THAT(Trusted().Check(kModel, theirs), IsOk()) << name;
  }
}

TEST_F(SignersTest, AKeyOfOnesOwnStaysTheSame) {
  std::filesystem::create_directories(File("own"));
  const auto own = LoadSigningKey(File("own/key"), File("own/public"));
  ASSERT_THAT(own, IsOk());
  EXPECT_EQ(LoadSigningKey(File("own/key"), File("own/public"))->key_pem, own->key_pem);
  EXPECT_EQ(*ReadWholeFile(File("own/public")), own->public_key_pem);
  Signers signers;
  ASSERT_THAT(signers.Add("coordinator", own->public_key_pem), IsOk());
  EXPECT_THAT(signers.Check(kModel, *SignArtifact(own->key_pem, "coordinator", kModel)), IsOk());
  std::filesystem::permissions(File("own/key"), std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  EXPECT_THAT(LoadSigningKey(File("own/key"), File("own/public")),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("others may read this key; chmod 600 it, and remove it for a new "
                                 "one if others used this machine")));
}

TEST_F(SignersTest, BadKeysAreNamed) {
  EXPECT_THAT(Signers::Load(File("none")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("check the path")));
  std::filesystem::create_directories(File("signers"));
  EXPECT_THAT(Signers::Load(File("signers")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has no signer's public")));
  const std::string ann = NewKey("ann", kP256);
  std::ofstream(File("signers/rubbish")) << "hello";
  EXPECT_THAT(Signers::Load(File("signers")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("signers/rubbish: no public key of P-256 or Ed25519")));
  std::ofstream(File("signers/rubbish")) << ann;
  EXPECT_FALSE(Signers::Load(File("signers")).ok()) << "a private key is no signer's";
  Run(absl::StrCat("openssl genpkey -algorithm RSA -out ", File("rsa")));
  EXPECT_THAT(SignArtifact(*ReadWholeFile(File("rsa")), "ann", kModel),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("P-256 or Ed25519")));
  EXPECT_FALSE(SignArtifact("", "ann", kModel).ok());
}

}  // namespace
}  // namespace wattle::artifacts
