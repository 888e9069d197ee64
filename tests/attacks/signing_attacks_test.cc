// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks on what is pushed: models that nobody signed, signatures of something else, somebody
// else's name, more bytes than a quota.
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/manifest.h"
#include "artifacts/signers/signers.h"
#include "base/testing/status_matchers.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "tests/attacks/push_for_test.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::attacks {
namespace {

using testing::HasSubstr;

// A coordinator that accepts ann's key and its own.
class SigningAttacks : public rpc::ServerFixture {
 protected:
  SigningAttacks() {
    std::filesystem::create_directories(Path("signers"));
    std::ofstream(Path("signers/ann")) << *tls::PublicKeyOf(ann_key_);
    signers_ = *artifacts::Signers::Load(Path("signers"));
    End();
    adjust_ = [this](runtime::RuntimeOptions& options) {
      options.check_model = [this](const v1::ArtifactInfo& info) {
        return signers_.CheckOneOf(info.artifact_id(), info.signatures());
      };
      options.check_signature = [this](const std::string& id,
                                       const v1::ArtifactSignature& signature) {
        return signers_.Check(id, signature);
      };
    };
    Begin();
    jobs_ = v1::JobService::NewStub(channel_);
    artifacts_ = v1::ArtifactService::NewStub(channel_);
  }

  // A model of one small file; its id depends on the text.
  absl::StatusOr<v1::ArtifactInfo> Push(const std::string& name, const std::string& text,
                                        v1::ArtifactInfo info = {}) {
    return PushBy(*artifacts_, name, text, std::move(info));
  }
  static absl::StatusOr<v1::ArtifactInfo> PushBy(v1::ArtifactService::Stub& stub,
                                                 const std::string& name, const std::string& text,
                                                 v1::ArtifactInfo info = {}) {
    const v1::Manifest manifest = ManifestOf(text);
    v1::MissingChunksRequest missing;
    *missing.mutable_manifest() = manifest;
    v1::MissingChunksResponse wanted;
    if (const absl::Status may =
            Call(stub, &v1::ArtifactService::Stub::MissingChunks, missing, wanted);
        !may.ok()) {
      return may;
    }
    if (const absl::Status put = PutChunk(stub, text); !put.ok()) {
      return put;
    }
    v1::CommitArtifactRequest commit;
    *commit.mutable_manifest() = manifest;
    *commit.mutable_info() = std::move(info);
    commit.mutable_info()->set_name(name);
    commit.mutable_info()->set_kind(v1::ARTIFACT_KIND_MODEL);
    *commit.mutable_info()->mutable_model_shape() = core::Shape();
    v1::ArtifactInfo pushed;
    const absl::Status done =
        Call(stub, &v1::ArtifactService::Stub::CommitArtifact, commit, pushed);
    return done.ok() ? absl::StatusOr<v1::ArtifactInfo>(pushed) : done;
  }
  absl::Status Sign(const std::string& reference, const v1::ArtifactSignature& signature) {
    v1::SignArtifactRequest request;
    request.set_reference(reference);
    *request.mutable_signature() = signature;
    v1::ArtifactInfo answer;
    return Call(*artifacts_, &v1::ArtifactService::Stub::SignArtifact, request, answer);
  }
  absl::Status Submit(const std::string& model) {
    v1::SubmitJobRequest request;
    request.set_idempotency_key(absl::StrCat("key-", ++keys_));
    request.mutable_spec()->mutable_quantize()->set_model(model);
    request.mutable_spec()->mutable_quantize()->set_quantization(v1::QUANTIZATION_INT8);
    v1::SubmitJobResponse answer;
    return Call(*jobs_, &v1::JobService::Stub::SubmitJob, request, answer);
  }

  const std::string ann_key_ = *tls::NewKey();
  artifacts::Signers signers_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  int keys_ = 0;
};

TEST_F(SigningAttacks, AModelWithoutASoundSignatureIsNotRun) {
  const auto model = Push("base", "weights");
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(Submit("base"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                       HasSubstr("model: base: the model ")));
  ASSERT_THAT(Sign("base", *artifacts::SignArtifact(ann_key_, "ann", model->artifact_id())),
              IsOk());
  EXPECT_THAT(Submit("base"), IsOk());
  // Other bytes under the same name have another id, of which ann knows nothing.
  const auto changed = Push("base-2", "weights and more");
  ASSERT_THAT(changed, IsOk());
  EXPECT_NE(changed->artifact_id(), model->artifact_id());
  EXPECT_THAT(Submit("base-2"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("is signed by nobody; one of")));
}

TEST_F(SigningAttacks, ASignatureOfAnotherArtifactOrAnUnknownSignerIsRefused) {
  const auto model = Push("base", "weights");
  const auto other = Push("other", "other weights");
  ASSERT_THAT(other, IsOk());
  EXPECT_THAT(Sign("base", *artifacts::SignArtifact(ann_key_, "ann", other->artifact_id())),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not of this artifact")));
  const std::string eve_key = *tls::NewKey();
  EXPECT_THAT(Sign("base", *artifacts::SignArtifact(eve_key, "eve", model->artifact_id())),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("\"eve\" is not among")));
  EXPECT_THAT(Sign("base", *artifacts::SignArtifact(eve_key, "ann", model->artifact_id())),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("not of this artifact")));
  EXPECT_THAT(Submit("base"), StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
}

TEST_F(SigningAttacks, NobodysWordCountsForWhoPushedAndWhoSigned) {
  v1::ArtifactInfo forged;
  forged.set_pushed_by("bob");
  forged.add_signatures()->set_signer("ann");
  forged.set_job_id("j1");
  const auto model = Push("base", "weights", forged);
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->job_id(), "") << "no job made it, whose model would be told as its parent";
  EXPECT_EQ(model->pushed_by(), "ann");
  EXPECT_EQ(model->signatures_size(), 0);
}

TEST_F(SigningAttacks, APushBeyondTheQuotaIsRefusedBeforeAByteIsSent) {
  const auto bobs = v1::ArtifactService::NewStub(PersonChannel("bob", "submitter"));
  const auto access = v1::AccessService::NewStub(channel_);
  v1::SetQuotaRequest set;
  set.mutable_quota()->set_owner("bob");
  set.mutable_quota()->set_artifact_bytes_max(100);
  v1::SetQuotaResponse answer;
  ASSERT_THAT(Call(*access, &v1::AccessService::Stub::SetQuota, set, answer), IsOk());
  EXPECT_THAT(PushBy(*bobs, "one", std::string(60, 'x')), IsOk());
  v1::MissingChunksRequest missing;
  v1::ManifestFile& file = *missing.mutable_manifest()->add_files();
  file.set_path("model.safetensors");
  file.set_size_bytes(41);
  file.add_chunk_sha256(tls::Sha256(std::string(41, 'y')));
  v1::MissingChunksResponse wanted;
  EXPECT_THAT(Call(*bobs, &v1::ArtifactService::Stub::MissingChunks, missing, wanted),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("quota of bob: 60 B of 100 B of artifacts")));
  // Whoever skips the question is refused at the end.
  v1::CommitArtifactRequest commit;
  *commit.mutable_manifest() = missing.manifest();
  ASSERT_THAT(store_->PutChunk(artifacts::ChunkId(file.chunk_sha256(0)), std::string(41, 'y')),
              IsOk());
  commit.mutable_info()->set_kind(v1::ARTIFACT_KIND_MODEL);
  v1::ArtifactInfo pushed;
  EXPECT_THAT(Call(*bobs, &v1::ArtifactService::Stub::CommitArtifact, commit, pushed),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("this one has 41 B")));
  EXPECT_THAT(Push("anns", std::string(5000, 'z')), IsOk());
}

}  // namespace
}  // namespace wattle::attacks
