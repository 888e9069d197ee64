// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/model_trust.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/tls/certificate.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;

class ModelTrustTest : public testing::Test {
 protected:
  ModelTrustTest() {
    std::ofstream(directory_.File("ann")) << *tls::PublicKeyOf(key_);
    signers_ = *artifacts::Signers::Load(directory_.File(""));
  }
  // Adds an input that is signed in ann's name with this key for this artifact.
  void Add(const std::string& field, const std::string& key, const std::string& signed_id,
           const std::string& id = std::string(64, 'a')) {
    v1::ResolvedInput& input = *assignment_.add_inputs();
    input.set_field(field);
    input.set_artifact_id(id);
    if (!key.empty()) {
      *input.add_signatures() = *artifacts::SignArtifact(key, "ann", signed_id);
    }
  }

  TestDirectory directory_;
  const std::string key_ = *tls::NewKey();
  artifacts::Signers signers_;
  v1::Assignment assignment_;
};

TEST_F(ModelTrustTest, EveryModelMustBeSignedAndDataNeedNotBe) {
  Add("model", key_, std::string(64, 'a'));
  Add("data", "", "");
  EXPECT_THAT(CheckModels(signers_, assignment_), IsOk());
  Add("reference_model", "", "");
  EXPECT_THAT(CheckModels(signers_, assignment_),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("--signers of this board: the model aaaaaaaaaaaa is signed by "
                                 "nobody")));
}

// Inputs that a compromised coordinator could assign.
TEST_F(ModelTrustTest, AnotherArtifactsOrAnotherKeysSignatureIsNone) {
  Add("model", key_, std::string(64, 'a'), std::string(64, 'b'));
  EXPECT_FALSE(CheckModels(signers_, assignment_).ok());
  assignment_.Clear();
  Add("model", *tls::NewKey(), std::string(64, 'a'));
  EXPECT_FALSE(CheckModels(signers_, assignment_).ok());
}

}  // namespace
}  // namespace wattle::agent
