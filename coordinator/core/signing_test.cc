// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Signatures of models in the core. The event loop checks whether a signature is valid: here each
// one is valid if it says so.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/testing/fleet_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;

v1::ArtifactSignature Signature(const std::string& signer, const std::string& bytes = "sound") {
  v1::ArtifactSignature signature;
  signature.set_signer(signer);
  signature.set_signature(bytes);
  return signature;
}

class SigningTest : public testing::Test {
 protected:
  SigningTest() {
    fleet_.observations.check_model = [](const v1::ArtifactInfo& info) {
      for (const v1::ArtifactSignature& one : info.signatures()) {
        if (one.signature() == "sound") {
          return absl::OkStatus();
        }
      }
      return absl::FailedPreconditionError("nobody whom this coordinator trusts signed it");
    };
  }
  Decision Ask(const Command& command) {
    Decision decision = Decide(fleet_.state, command, fleet_.observations, Now());
    for (const v1::Event& event : decision.events) {
      Apply(fleet_.state, event, Now().monotonic);
    }
    fleet_.state = *ParseSnapshot(SnapshotBytes(fleet_.state));
    return decision;
  }
  absl::Status Sign(const v1::ArtifactSignature& signature) {
    return Ask(SignArtifact{ArtifactId(TinyModel().artifact_id()), signature, "ann"}).status;
  }
  const v1::ArtifactInfo& Model(const std::string& id = TinyModel().artifact_id()) {
    return fleet_.state.artifacts.at(ArtifactId(id));
  }
  absl::Status Submit() { return Ask(SubmitJob{Finetune(), absl::StrCat("key-", ++keys_)}).status; }
  // Job j1 ends on the board with a new model, whose signature the report brings.
  void Finish(const std::string& output) {
    Do(fleet_.state, fleet_.observations,
       ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, Now())));
    v1::ArtifactInfo made;
    made.set_artifact_id(output);
    made.set_kind(v1::ARTIFACT_KIND_RESULT);
    made.set_job_id("j1");
    Ask(CommitArtifact{made});
    WorkerReport report = {DeviceId("device-1"), 1, {}, Signature("coordinator")};
    report.report.set_sequence(1);
    v1::AttemptFinished& finished = *report.report.mutable_finished();
    finished.set_attempt_id("j1.1");
    finished.set_fencing_token(FindAttempt(fleet_.state, AttemptId("j1.1"))->fencing_token());
    finished.mutable_output()->set_artifact_id(output);
    ASSERT_THAT(Ask(report).status, IsOk());
    ASSERT_EQ(FindJob(fleet_.state, JobId("j1"))->job().state(), v1::JOB_STATE_SUCCEEDED);
  }

  Fleet fleet_;
  int keys_ = 0;
};

TEST_F(SigningTest, AnUnsignedModelIsRefusedAtSubmitAndASignedOneIsNot) {
  EXPECT_THAT(Submit(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("model: tiny: nobody whom this coordinator trusts")));
  ASSERT_THAT(Sign(Signature("ann")), IsOk());
  EXPECT_THAT(Submit(), IsOk());
  fleet_.observations.check_model = nullptr;  // A coordinator without --signers.
  EXPECT_THAT(Submit(), IsOk());
}

TEST_F(SigningTest, ASignerHasOneSignatureAndTheyAreInOrder) {
  for (const char* signer : {"zoe", "ann", "bob"}) {
    ASSERT_THAT(Sign(Signature(signer)), IsOk());
  }
  ASSERT_THAT(Sign(Signature("bob", "later")), IsOk());
  ASSERT_EQ(Model().signatures_size(), 3);
  EXPECT_EQ(Model().signatures(0).signer(), "ann");
  EXPECT_EQ(Model().signatures(1).signature(), "later");
  EXPECT_EQ(Model().signatures(2).signer(), "zoe");
}

TEST_F(SigningTest, BadSignaturesAreRefusedByField) {
  EXPECT_THAT(Sign(Signature("a b")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("signer")));
  EXPECT_THAT(Sign(Signature("ann", "")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("signature: 0 bytes")));
  EXPECT_THAT(Sign(Signature("ann", std::string(257, 'x'))),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("257 bytes")));
  for (int i = 0; i < 16; ++i) {
    ASSERT_THAT(Sign(Signature(absl::StrCat("signer-", i))), IsOk());
  }
  EXPECT_THAT(Sign(Signature("one-more")),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("16")));
  EXPECT_THAT(Sign(Signature("signer-3")), IsOk());
  EXPECT_THAT(Ask(SignArtifact{ArtifactId("gone"), Signature("ann"), "ann"}).status,
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_F(SigningTest, ADeviceHearsWhoSignedItsModel) {
  ASSERT_THAT(Sign(Signature("ann")), IsOk());
  ASSERT_THAT(Submit(), IsOk());
  Do(fleet_.state, fleet_.observations,
     ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, Now())));
  const v1::DesiredSet desired = DesiredFor(fleet_.state, DeviceId("device-1"));
  ASSERT_EQ(desired.assignments_size(), 1);
  for (const v1::ResolvedInput& input : desired.assignments(0).inputs()) {
    EXPECT_EQ(input.signatures_size(), input.field() == "model" ? 1 : 0) << input.field();
  }
}

TEST_F(SigningTest, WhatASignedModelBecomesIsSignedByTheCoordinator) {
  ASSERT_THAT(Sign(Signature("ann")), IsOk());
  ASSERT_THAT(Submit(), IsOk());
  Finish("0123456789abcdef");
  ASSERT_EQ(Model("0123456789abcdef").signatures_size(), 1);
  EXPECT_EQ(Model("0123456789abcdef").signatures(0).signer(), "coordinator");
}

TEST_F(SigningTest, WhatAnUnsignedModelBecomesIsNotSigned) {
  const auto check = fleet_.observations.check_model;
  fleet_.observations.check_model = nullptr;  // Submitted before signatures were asked for.
  ASSERT_THAT(Submit(), IsOk());
  fleet_.observations.check_model = check;
  Finish("0123456789abcdef");
  EXPECT_EQ(Model("0123456789abcdef").signatures_size(), 0);
}

}  // namespace
}  // namespace wattle::core
