// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks by what a board or a person uploads: models and names of others by a board's certificate,
// another's artifact as a checkpoint or a result, and uploads that push others' artifacts out.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/manifest.h"
#include "base/testing/status_matchers.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "tests/attacks/push_for_test.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::attacks {
namespace {

using testing::HasSubstr;
using testing::Not;

using Artifacts = v1::ArtifactService::Stub;
using Jobs = v1::JobService::Stub;

constexpr char kWeights[] = "its weights";
constexpr char kSecret[] = "other weights";

class UploadAttacks : public rpc::ServerFixture {
 protected:
  UploadAttacks() { Connect(); }

  void Connect() {
    artifacts_ = v1::ArtifactService::NewStub(channel_);
    jobs_ = v1::JobService::NewStub(channel_);
    board_channel_ = DeviceChannel("device-a");
    board_ = v1::ArtifactService::NewStub(board_channel_);
  }
  static std::string IdOf(const std::string& text) {
    return artifacts::IdOf(ManifestOf(text)).value();
  }
  static absl::Status Commit(Artifacts& stub, const std::string& text, const v1::ArtifactInfo& info,
                             bool move_name = false) {
    v1::CommitArtifactRequest commit;
    *commit.mutable_manifest() = ManifestOf(text);
    *commit.mutable_info() = info;
    commit.set_move_name(move_name);
    v1::ArtifactInfo pushed;
    return Call(stub, &Artifacts::CommitArtifact, commit, pushed);
  }
  void Push(const std::string& name, const std::string& text) {
    EXPECT_THAT(PutChunk(*artifacts_, text), IsOk());
    EXPECT_THAT(Commit(*artifacts_, text, runtime::ModelInfoOf(name)), IsOk());
  }
  static v1::ArtifactInfo ResultOf(const std::string& job_id) {
    v1::ArtifactInfo info;
    info.set_kind(v1::ARTIFACT_KIND_RESULT);
    info.set_job_id(job_id);
    return info;
  }
  // A job with the model "tiny", on the board of the worker.
  v1::Assignment SubmitTo(rpc::HandWorker& worker, const std::string& board = "device-a") {
    v1::SubmitJobRequest submit;
    *submit.mutable_spec() = runtime::GenerateSpecOf("tiny");
    submit.mutable_spec()->add_required_labels(absl::StrCat("device=", board));
    submit.set_idempotency_key(board);
    v1::SubmitJobResponse submitted;
    EXPECT_THAT(Call(*jobs_, &Jobs::SubmitJob, submit, submitted), IsOk());
    v1::Assignment assignment;
    EXPECT_TRUE(worker.ReadUntilAssigned(assignment));
    return assignment;
  }
  static absl::Status GetManifest(Artifacts& stub, const std::string& text) {
    v1::GetManifestRequest request;
    request.set_artifact_id(IdOf(text));
    v1::Manifest manifest;
    return Call(stub, &Artifacts::GetManifest, request, manifest);
  }
  absl::StatusOr<v1::ArtifactInfo> Resolve(const std::string& reference) {
    v1::ResolveArtifactRequest request;
    request.set_reference(reference);
    v1::ArtifactInfo info;
    const absl::Status status = Call(*artifacts_, &Artifacts::ResolveArtifact, request, info);
    return status.ok() ? absl::StatusOr<v1::ArtifactInfo>(info) : status;
  }
  template <typename Fact>
  static Fact Of(const v1::Assignment& assignment) {
    Fact fact;
    fact.set_attempt_id(assignment.attempt_id());
    fact.set_fencing_token(assignment.fencing_token());
    return fact;
  }

  std::unique_ptr<Artifacts> artifacts_;  // An admin's.
  std::unique_ptr<Jobs> jobs_;
  std::shared_ptr<grpc::Channel> board_channel_;
  std::unique_ptr<Artifacts> board_;
};

TEST_F(UploadAttacks, ABoardPushesNoModelAndTakesNoName) {
  Push("tiny", kWeights);
  rpc::HandWorker worker(board_channel_, runtime::HelloOf("device-a"));
  const v1::Assignment assignment = SubmitTo(worker);
  ASSERT_THAT(PutChunk(*board_, "evil"), IsOk());
  v1::ArtifactInfo model = runtime::ModelInfoOf("tiny");
  model.set_job_id(assignment.job_id());
  EXPECT_THAT(Commit(*board_, "evil", model, true),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("info.kind: a board")));
  v1::ArtifactInfo named = ResultOf(assignment.job_id());
  named.set_name("tiny");
  EXPECT_THAT(Commit(*board_, "evil", named, true),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("a board names nothing")));
  EXPECT_EQ(Resolve("tiny")->artifact_id(), IdOf(kWeights));
  EXPECT_THAT(Resolve(IdOf("evil")), StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_FALSE(store_->HasArtifact(ArtifactId(IdOf("evil"))));
  EXPECT_THAT(Commit(*board_, "evil", ResultOf(assignment.job_id())), IsOk());
}

// The upload would be in the job's project, and count against its owner's quota.
TEST_F(UploadAttacks, ABoardUploadsNothingForAJobThatWasNeverOnIt) {
  Push("tiny", kWeights);
  rpc::HandWorker worker(board_channel_, runtime::HelloOf("device-a"));
  const v1::Assignment assignment = SubmitTo(worker);
  const auto other_channel = DeviceChannel("device-b");
  const auto other = v1::ArtifactService::NewStub(other_channel);
  rpc::HandWorker other_worker(other_channel, runtime::HelloOf("device-b"));
  v1::CoordinatorMessage welcome;
  ASSERT_TRUE(other_worker.ReadUntil(v1::CoordinatorMessage::kWelcome, welcome));
  ASSERT_THAT(PutChunk(*board_, "result"), IsOk());
  const v1::Assignment others = SubmitTo(other_worker, "device-b");
  ASSERT_NE(others.job_id(), assignment.job_id());
  ASSERT_THAT(PutChunk(*other, "planted"), IsOk());
  for (const std::string& job : {assignment.job_id(), std::string("j999"), std::string()}) {
    EXPECT_THAT(Commit(*other, "planted", ResultOf(job)),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("was on this board")));
  }
  EXPECT_THAT(Resolve(IdOf("planted")), StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(Commit(*board_, "result", ResultOf(assignment.job_id())), IsOk());
  EXPECT_EQ(Resolve(IdOf("result"))->pushed_by(), "ann");
}

// The next assignment would give it to the board.
TEST_F(UploadAttacks, ABoardReadsNoArtifactByCallingItItsCheckpoint) {
  Push("tiny", kWeights);
  Push("secret", kSecret);
  rpc::HandWorker worker(board_channel_, runtime::HelloOf("device-a"));
  v1::Assignment assignment = SubmitTo(worker);
  const std::string first = assignment.attempt_id();
  v1::Report report;
  *report.mutable_stopped() = Of<v1::AttemptStopped>(assignment);
  report.mutable_stopped()->set_checkpoint_step(900'000);
  report.mutable_stopped()->mutable_checkpoint()->set_artifact_id(IdOf(kSecret));
  worker.Report(report);
  while (assignment.attempt_id() == first) {
    ASSERT_TRUE(worker.ReadUntilAssigned(assignment));
  }
  EXPECT_EQ(assignment.checkpoint_artifact_id(), "");
  EXPECT_THAT(GetManifest(*board_, kWeights), IsOk());
  EXPECT_THAT(GetManifest(*board_, kSecret), StatusIs(absl::StatusCode::kNotFound, testing::_));
  // Its own it may go on from.
  ASSERT_THAT(PutChunk(*board_, "checkpoint"), IsOk());
  v1::ArtifactInfo own = ResultOf(assignment.job_id());
  own.set_kind(v1::ARTIFACT_KIND_CHECKPOINT);
  ASSERT_THAT(Commit(*board_, "checkpoint", own), IsOk());
  *report.mutable_stopped() = Of<v1::AttemptStopped>(assignment);
  report.mutable_stopped()->set_checkpoint_step(7);
  report.mutable_stopped()->mutable_checkpoint()->set_artifact_id(IdOf("checkpoint"));
  worker.Report(report);
  ASSERT_TRUE(worker.ReadUntilAcknowledged());
  EXPECT_EQ(
      core::FindJob(*runtime_->Version(), JobId(assignment.job_id()))->checkpoint().artifact_id(),
      IdOf("checkpoint"));
}

// Whoever reads the job's output would read it.
TEST_F(UploadAttacks, AnothersArtifactIsNoResult) {
  Push("tiny", kWeights);
  Push("secret", kSecret);
  rpc::HandWorker worker(board_channel_, runtime::HelloOf("device-a"));
  const v1::Assignment assignment = SubmitTo(worker);
  v1::Report report;
  *report.mutable_finished() = Of<v1::AttemptFinished>(assignment);
  report.mutable_finished()->mutable_output()->set_artifact_id(IdOf(kSecret));
  worker.Report(report);
  ASSERT_TRUE(worker.ReadUntilAcknowledged());
  EXPECT_THAT(Resolve(absl::StrCat("job:", assignment.job_id(), "/output")), Not(IsOk()));
}

TEST_F(UploadAttacks, ABoardWithoutWorkFillsNoDisk) {
  const int64_t before = store_->used_bytes();
  EXPECT_THAT(PutChunk(*board_, "rubbish"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no open job had an attempt")));
  v1::MissingChunksRequest ask;
  *ask.mutable_manifest() = ManifestOf("rubbish");
  v1::MissingChunksResponse missing;
  EXPECT_THAT(Call(*board_, &Artifacts::MissingChunks, ask, missing),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no open job had an attempt")));
  EXPECT_EQ(store_->used_bytes(), before);
}

// Nobody names it and no job needs it, so that it may go for an upload, and only for one that then
// fits.
TEST_F(UploadAttacks, AnUploadThatDoesNotFitPushesNothingOut) {
  Push("", kSecret);
  const ArtifactId id(IdOf(kSecret));
  End();
  const auto an_hour_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  const std::string hex = artifacts::Sha256Hex(kSecret);
  for (const std::string& path : {absl::StrCat("artifacts/manifests/", id.value()),
                                  absl::StrCat("artifacts/chunks/", hex.substr(0, 2), "/", hex)}) {
    std::filesystem::last_write_time(Path(path), an_hour_ago);
  }
  Begin();
  Connect();
  free_bytes_ = 1000 + 10;  // Beside the reserve.
  v1::MissingChunksRequest ask;
  *ask.mutable_manifest() = ManifestOf(std::string(100, 'x'));
  v1::MissingChunksResponse missing;
  EXPECT_THAT(Call(*artifacts_, &Artifacts::MissingChunks, ask, missing),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("disk full")));
  EXPECT_THAT(PutChunk(*artifacts_, std::string(100, 'x')),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("disk full")));
  EXPECT_THAT(Resolve(id.value()), IsOk());
  EXPECT_TRUE(store_->HasArtifact(id));
  // One that fits without it may ask, which moves nothing, and pushes it out by its bytes.
  *ask.mutable_manifest() = ManifestOf(std::string(20, 'y'));
  EXPECT_THAT(Call(*artifacts_, &Artifacts::MissingChunks, ask, missing), IsOk());
  EXPECT_THAT(Resolve(id.value()), IsOk());
  (void)PutChunk(*artifacts_, std::string(20, 'y')).ok();  // The disk stays this full.
  EXPECT_THAT(Resolve(id.value()), StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_F(UploadAttacks, BytesThatNobodyCommitsCountAgainstTheQuota) {
  const auto sams = v1::ArtifactService::NewStub(PersonChannel("sam", "submitter"));
  v1::Quota quota;
  quota.set_owner("sam");
  quota.set_artifact_bytes_max(1000);
  ASSERT_THAT(Ask(*runtime_, core::SetQuota{quota, "ann"}).status, IsOk());
  const std::string first(600, 'a');
  const std::string second(600, 'b');
  ASSERT_THAT(PutChunk(*sams, first), IsOk());
  ASSERT_THAT(PutChunk(*sams, first), IsOk()) << "the store has it";
  EXPECT_THAT(PutChunk(*sams, second),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("quota of sam")));
  EXPECT_FALSE(store_->HasChunk(artifacts::ChunkId(tls::Sha256(second))));
  v1::MissingChunksRequest ask;
  *ask.mutable_manifest() = ManifestOf(second);
  v1::MissingChunksResponse missing;
  EXPECT_THAT(Call(*sams, &Artifacts::MissingChunks, ask, missing),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("quota of sam")));
  *ask.mutable_manifest() = ManifestOf(first);
  EXPECT_THAT(Call(*sams, &Artifacts::MissingChunks, ask, missing), IsOk()) << "she goes on";
  v1::ArtifactInfo info = runtime::ModelInfoOf("mine");
  EXPECT_THAT(Commit(*sams, first, info), IsOk());
  EXPECT_THAT(PutChunk(*sams, std::string(400, 'c')), IsOk()) << "counted once";
  EXPECT_THAT(PutChunk(*sams, "d"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("quota of sam")));
}

}  // namespace
}  // namespace wattle::attacks
