// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks across projects by two people over TLS: a chunk by its hash, a manifest of chunks that
// are another's, another's names, jobs, logs and events. Then the same by a board, across leases.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/manifest.h"
#include "base/testing/status_matchers.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "tests/attacks/push_for_test.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/coordinator.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::attacks {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Property;
using testing::SizeIs;

using Artifacts = v1::ArtifactService::Stub;
using Jobs = v1::JobService::Stub;

constexpr char kText[] = "what mia's weights are";

absl::Status FetchChunk(Artifacts& stub, const std::string& text) {
  grpc::ClientContext context;
  rpc::SetDeadline(context);
  v1::GetChunksRequest request;
  request.add_sha256(tls::Sha256(text));
  const auto reader = stub.GetChunks(&context, request);
  v1::Chunk chunk;
  int chunks = 0;
  while (reader->Read(&chunk)) {
    ++chunks;
  }
  const absl::Status status = FromGrpc(reader->Finish());
  EXPECT_EQ(chunks, status.ok() ? 1 : 0);
  return status;
}

// mia is only in "north", sam only in "default".
class ProjectAttacks : public rpc::ServerFixture {
 protected:
  ProjectAttacks() {
    access_ = v1::AccessService::NewStub(channel_);
    v1::SetProjectRequest make;
    make.mutable_project()->set_name("north");
    v1::Project made;
    EXPECT_THAT(Call(*access_, &v1::AccessService::Stub::SetProject, make, made), IsOk());
    v1::EnrolmentToken token;
    token.set_kind(core::kPersonKind);
    token.set_person("mia");
    token.set_role("submitter");
    token.add_projects("north");
    mia_channel_ = ChannelOf(Path("person-mia"), MakeToken(token), "");
    sam_channel_ = PersonChannel("sam", "submitter");
    mia_ = v1::ArtifactService::NewStub(mia_channel_);
    sam_ = v1::ArtifactService::NewStub(sam_channel_);
  }

  static int Missing(Artifacts& stub, const std::string& text) {
    v1::MissingChunksRequest request;
    *request.mutable_manifest() = ManifestOf(text);
    v1::MissingChunksResponse answer;
    EXPECT_THAT(Call(stub, &Artifacts::MissingChunks, request, answer), IsOk());
    return answer.chunk_sha256_size();
  }
  static void Put(Artifacts& stub, const std::string& text) {
    EXPECT_THAT(PutChunk(stub, text), IsOk());
  }
  static absl::Status Commit(Artifacts& stub, const std::string& name, const std::string& text,
                             const std::string& project, bool move = false) {
    v1::CommitArtifactRequest commit;
    *commit.mutable_manifest() = ManifestOf(text);
    commit.mutable_info()->set_name(name);
    commit.mutable_info()->set_kind(v1::ARTIFACT_KIND_MODEL);
    *commit.mutable_info()->mutable_model_shape() = core::Shape();
    commit.set_project(project);
    commit.set_move_name(move);
    v1::ArtifactInfo pushed;
    return Call(stub, &Artifacts::CommitArtifact, commit, pushed);
  }
  static absl::Status Resolve(Artifacts& stub, const std::string& reference) {
    v1::ResolveArtifactRequest request;
    request.set_reference(reference);
    v1::ArtifactInfo answer;
    return Call(stub, &Artifacts::ResolveArtifact, request, answer);
  }
  void PushMias() {
    ASSERT_EQ(Missing(*mia_, kText), 1);
    Put(*mia_, kText);
    ASSERT_THAT(Commit(*mia_, "weights", kText, "north"), IsOk());
  }
  static v1::SubmitJobRequest JobOf(const std::string& project, const std::string& key) {
    v1::SubmitJobRequest request;
    request.set_idempotency_key(key);
    request.mutable_spec()->set_project(project);
    request.mutable_spec()->mutable_quantize()->set_model("weights");
    request.mutable_spec()->mutable_quantize()->set_quantization(v1::QUANTIZATION_INT8);
    return request;
  }

  // All events that the caller gets, up to the first of this kind.
  static std::vector<v1::FleetEvent> EventsUntil(const std::shared_ptr<grpc::Channel>& channel,
                                                 const std::string& kind) {
    grpc::ClientContext context;
    rpc::SetDeadline(context);
    v1::WatchEventsRequest request;
    request.set_follow(true);
    const auto reader = v1::CoordinatorService::NewStub(channel)->WatchEvents(&context, request);
    std::vector<v1::FleetEvent> told;
    v1::FleetEvent event;
    while (reader->Read(&event)) {
      told.push_back(event);
      if (event.kind() == kind) {
        context.TryCancel();
        break;
      }
    }
    (void)reader->Finish().ok();  // cancelled
    EXPECT_TRUE(!told.empty() && told.back().kind() == kind);
    return told;
  }

  std::unique_ptr<v1::AccessService::Stub> access_;
  std::shared_ptr<grpc::Channel> mia_channel_;
  std::shared_ptr<grpc::Channel> sam_channel_;
  std::unique_ptr<Artifacts> mia_;
  std::unique_ptr<Artifacts> sam_;
};

TEST_F(ProjectAttacks, AChunkIsNotGivenForItsHash) {
  PushMias();
  EXPECT_THAT(FetchChunk(*mia_, kText), IsOk());
  EXPECT_THAT(FetchChunk(*sam_, kText), StatusIs(absl::StatusCode::kNotFound, testing::_));
  v1::GetManifestRequest request;
  request.set_artifact_id(artifacts::IdOf(ManifestOf(kText)).value());
  v1::Manifest manifest;
  EXPECT_THAT(Call(*mia_, &Artifacts::GetManifest, request, manifest), IsOk());
  EXPECT_THAT(Call(*sam_, &Artifacts::GetManifest, request, manifest),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_F(ProjectAttacks, AManifestOfUnownedChunksIsNoArtifact) {
  PushMias();
  EXPECT_EQ(Missing(*mia_, kText), 0);
  EXPECT_EQ(Missing(*sam_, kText), 1) << "the store has it for mia alone";
  EXPECT_THAT(Commit(*sam_, "mine", kText, ""),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("1 chunks are missing")));
  EXPECT_THAT(FetchChunk(*sam_, kText), StatusIs(absl::StatusCode::kNotFound, testing::_));
  // Whoever has the bytes may have the artifact too, and the store keeps one copy.
  const int64_t before = store_->used_bytes();
  Put(*sam_, kText);
  EXPECT_THAT(Commit(*sam_, "mine", kText, ""), IsOk());
  EXPECT_EQ(store_->used_bytes(), before);
  EXPECT_THAT(FetchChunk(*sam_, kText), IsOk());
}

TEST_F(ProjectAttacks, NamesAndIdsOfAnotherProjectAreNotThere) {
  PushMias();
  const std::string id = artifacts::IdOf(ManifestOf(kText)).value();
  for (const std::string& reference : {std::string("weights"), id, id.substr(0, 12)}) {
    EXPECT_THAT(Resolve(*mia_, reference), IsOk());
    EXPECT_THAT(Resolve(*sam_, reference),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("there is none yet")));
  }
  v1::ListArtifactsResponse list;
  ASSERT_THAT(Call(*sam_, &Artifacts::ListArtifacts, v1::ListArtifactsRequest(), list), IsOk());
  EXPECT_THAT(list.artifacts(), IsEmpty());
  v1::RemoveArtifactRequest remove;
  remove.set_reference(id);
  v1::RemoveArtifactResponse removed;
  EXPECT_THAT(Call(*sam_, &Artifacts::RemoveArtifact, remove, removed),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
  Put(*sam_, "other");
  for (const bool move : {false, true}) {
    EXPECT_THAT(Commit(*sam_, "weights", "other", "", move),
                StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("a name in another project")));
  }
  EXPECT_THAT(Commit(*sam_, "planted", "other", "north"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("wattle project member sam --project default,north")));
}

TEST_F(ProjectAttacks, JobsOfAnotherProjectAreNeitherSeenNorMade) {
  PushMias();
  const auto mias = v1::JobService::NewStub(mia_channel_);
  const auto sams = v1::JobService::NewStub(sam_channel_);
  v1::SubmitJobResponse submitted;
  ASSERT_THAT(Call(*mias, &Jobs::SubmitJob, JobOf("north", "mia-1"), submitted), IsOk());
  EXPECT_THAT(Call(*sams, &Jobs::SubmitJob, JobOf("north", "sam-1"), submitted),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("\"north\", and sam is")));
  EXPECT_THAT(Call(*sams, &Jobs::SubmitJob, JobOf("none", "sam-2"), submitted),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("\"none\", and sam is")));
  EXPECT_THAT(Call(*sams, &Jobs::SubmitJob, JobOf("", "sam-3"), submitted),
              StatusIs(absl::StatusCode::kNotFound, Not(HasSubstr("known:"))));
  v1::GetJobRequest get;
  get.set_job_id("j1");
  v1::Job job;
  EXPECT_THAT(Call(*mias, &Jobs::GetJob, get, job), IsOk());
  EXPECT_THAT(Call(*sams, &Jobs::GetJob, get, job),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  v1::CancelJobRequest cancel;
  cancel.set_job_id("j1");
  EXPECT_THAT(Call(*sams, &Jobs::CancelJob, cancel, job),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  v1::ListJobsResponse list;
  ASSERT_THAT(Call(*sams, &Jobs::ListJobs, v1::ListJobsRequest(), list), IsOk());
  EXPECT_THAT(list.jobs(), IsEmpty());
  ASSERT_THAT(Call(*mias, &Jobs::ListJobs, v1::ListJobsRequest(), list), IsOk());
  EXPECT_THAT(list.jobs(), SizeIs(1));
  v1::GetJobLogsRequest logs;
  logs.set_job_id("j1");
  grpc::ClientContext context;
  rpc::SetDeadline(context);
  const auto reader = sams->GetJobLogs(&context, logs);
  v1::LogLine line;
  EXPECT_FALSE(reader->Read(&line));
  EXPECT_THAT(FromGrpc(reader->Finish()),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
}

TEST_F(ProjectAttacks, EventsOfAnotherProjectAreNotTold) {
  PushMias();
  v1::SubmitJobResponse submitted;
  ASSERT_THAT(Call(*v1::JobService::NewStub(mia_channel_), &Jobs::SubmitJob,
                   JobOf("north", "mia-1"), submitted),
              IsOk());
  // Everybody gets this event, which comes after hers: the feed has passed hers by then.
  v1::ApplyPolicyRequest last;
  last.mutable_policy()->set_name("field");
  last.mutable_policy()->set_max_temperature_celsius(70);
  v1::Policy policy;
  ASSERT_THAT(Call(*v1::PolicyService::NewStub(channel_), &v1::PolicyService::Stub::ApplyPolicy,
                   last, policy),
              IsOk());
  const auto mias = EventsUntil(mia_channel_, "policy_applied");
  EXPECT_THAT(mias, Contains(Property(&v1::FleetEvent::job_id, "j1")));
  const auto sams = EventsUntil(sam_channel_, "policy_applied");
  EXPECT_THAT(sams, Each(Property(&v1::FleetEvent::job_id, IsEmpty())));
  EXPECT_THAT(sams, Each(Property(&v1::FleetEvent::text, Not(HasSubstr("weights")))));
  EXPECT_THAT(sams, Each(Property(&v1::FleetEvent::text, Not(HasSubstr("north")))));
  EXPECT_THAT(EventsUntil(channel_, "policy_applied"),
              Contains(Property(&v1::FleetEvent::text, HasSubstr("weights"))));
}

TEST_F(ProjectAttacks, MembershipCountsFromTheNextCallOn) {
  PushMias();
  v1::SetMemberRequest set;
  set.set_person("sam");
  set.add_projects("default");
  set.add_projects("north");
  v1::SetMemberResponse done;
  EXPECT_THAT(Call(*v1::AccessService::NewStub(sam_channel_), &v1::AccessService::Stub::SetMember,
                   set, done),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  ASSERT_THAT(Call(*access_, &v1::AccessService::Stub::SetMember, set, done), IsOk());
  EXPECT_THAT(FetchChunk(*sam_, kText), IsOk());
  v1::WhoAmIResponse me;
  ASSERT_THAT(Call(*v1::AccessService::NewStub(sam_channel_), &v1::AccessService::Stub::WhoAmI,
                   v1::WhoAmIRequest(), me),
              IsOk());
  EXPECT_THAT(me.projects(), ElementsAre("default", "north"));
  set.clear_projects();
  ASSERT_THAT(Call(*access_, &v1::AccessService::Stub::SetMember, set, done), IsOk());
  EXPECT_THAT(FetchChunk(*sam_, kText), StatusIs(absl::StatusCode::kNotFound, testing::_));
}

class LeaseAttacks : public rpc::ServerFixture {
 protected:
  LeaseAttacks()
      : artifacts_(v1::ArtifactService::NewStub(channel_)),
        board_channel_(DeviceChannel("device-a")),
        board_(v1::ArtifactService::NewStub(board_channel_)),
        other_(v1::ArtifactService::NewStub(DeviceChannel("device-b"))) {}

  void Push(const std::string& name, const std::string& text) {
    EXPECT_THAT(PutChunk(*artifacts_, text), IsOk());
    v1::CommitArtifactRequest commit;
    *commit.mutable_manifest() = ManifestOf(text);
    *commit.mutable_info() = runtime::ModelInfoOf(name);
    v1::ArtifactInfo pushed;
    EXPECT_THAT(Call(*artifacts_, &Artifacts::CommitArtifact, commit, pushed), IsOk());
  }
  // Submits a job with the model "tiny" and waits until the worker is assigned its attempt.
  v1::Assignment SubmitTo(rpc::HandWorker& worker) {
    v1::SubmitJobRequest submit;
    *submit.mutable_spec() = runtime::GenerateSpecOf("tiny");
    submit.set_idempotency_key("one");
    v1::SubmitJobResponse submitted;
    EXPECT_THAT(Call(*jobs_, &Jobs::SubmitJob, submit, submitted), IsOk());
    v1::Assignment assignment;
    EXPECT_TRUE(worker.ReadUntilAssigned(assignment));
    return assignment;
  }
  v1::JobState StateOf(const std::string& job_id) {
    v1::GetJobRequest get;
    get.set_job_id(job_id);
    v1::Job job;
    EXPECT_THAT(Call(*jobs_, &Jobs::GetJob, get, job), IsOk());
    return job.state();
  }
  // Until the first refusal.
  static int CallsLeft(const std::shared_ptr<grpc::Channel>& channel) {
    const auto access = v1::AccessService::NewStub(channel);
    v1::WhoAmIResponse me;
    int left = 0;
    while (Call(*access, &v1::AccessService::Stub::WhoAmI, v1::WhoAmIRequest(), me).ok()) {
      ++left;
    }
    return left;
  }
  // The first error of fetching the manifest and the chunk.
  static absl::Status Fetch(Artifacts& stub, const std::string& text) {
    v1::GetManifestRequest request;
    request.set_artifact_id(artifacts::IdOf(ManifestOf(text)).value());
    v1::Manifest manifest;
    const absl::Status fetched = Call(stub, &Artifacts::GetManifest, request, manifest);
    const absl::Status chunk = FetchChunk(stub, text);
    EXPECT_EQ(fetched.code(), chunk.code());
    return fetched;
  }
  static auto IsNotThere() {
    return StatusIs(absl::StatusCode::kNotFound, HasSubstr("no attempt that this board shall run"));
  }

  std::unique_ptr<Jobs> jobs_ = v1::JobService::NewStub(channel_);
  std::unique_ptr<Artifacts> artifacts_;
  std::shared_ptr<grpc::Channel> board_channel_;
  std::unique_ptr<Artifacts> board_;
  std::unique_ptr<Artifacts> other_;
};

// A thief of a board reads what its leases name, while they last.
TEST_F(LeaseAttacks, ABoardReadsWhatItsLeasesNameAlone) {
  Push("tiny", "its weights");
  Push("secret", "other weights");
  EXPECT_THAT(Fetch(*board_, "its weights"), IsNotThere()) << "no lease yet";
  rpc::HandWorker worker(board_channel_, runtime::HelloOf("device-a"));
  const v1::Assignment assignment = SubmitTo(worker);
  EXPECT_THAT(Fetch(*board_, "its weights"), IsOk());
  EXPECT_THAT(Fetch(*board_, "other weights"), IsNotThere());
  EXPECT_THAT(Fetch(*other_, "its weights"), IsNotThere());
  EXPECT_THAT(Fetch(*artifacts_, "other weights"), IsOk()) << "an admin";
  v1::CancelJobRequest cancel;
  cancel.set_job_id(assignment.job_id());
  v1::Job job;
  ASSERT_THAT(Call(*jobs_, &Jobs::CancelJob, cancel, job), IsOk());
  v1::Report stopped;
  stopped.mutable_stopped()->set_attempt_id(assignment.attempt_id());
  stopped.mutable_stopped()->set_fencing_token(assignment.fencing_token());
  worker.Report(stopped);
  ASSERT_TRUE(worker.ReadUntilAcknowledged());
  EXPECT_THAT(Fetch(*board_, "its weights"), IsNotThere()) << "the lease has ended";
}

// Neither way of a transfer is refused: it waits. CallLimitsTest has for how long.
TEST_F(LeaseAttacks, BytesOfACallerWaitForTheirTurnBothWays) {
  End();
  limits_ = std::make_shared<callers::CallLimits>(
      callers::CallLimits::Most{.bytes_per_second = 1e6, .bytes_at_once = 1});
  Begin();
  const auto anns = v1::ArtifactService::NewStub(channel_);
  EXPECT_THAT(PutChunk(*anns, "its weights"), IsOk());
  EXPECT_EQ(limits_->refusals().waits_for_bytes, 1U);
  EXPECT_THAT(FetchChunk(*anns, "its weights"), IsOk());
  EXPECT_EQ(limits_->refusals().waits_for_bytes, 2U);
}

// No transfer, and yet a way to move bytes without an end.
TEST_F(LeaseAttacks, ALargeMessageCostsItsCallerFurtherCallsBothWays) {
  End();
  limits_ = std::make_shared<callers::CallLimits>(
      callers::CallLimits::Most{.calls_per_second = 0.001, .calls_at_once = 100});
  Begin();
  artifacts_ = v1::ArtifactService::NewStub(channel_);
  Push("tiny", "its weights");
  const auto sams = PersonChannel("sam", "submitter");
  const auto submit = [&](const std::string& prompt, int number) {
    v1::SubmitJobRequest request;
    *request.mutable_spec() = runtime::GenerateSpecOf("tiny");
    request.mutable_spec()->mutable_generate()->add_prompts(prompt);
    request.set_idempotency_key(absl::StrCat("large ", number));
    v1::SubmitJobResponse submitted;
    return Call(*v1::JobService::NewStub(sams), &Jobs::SubmitJob, request, submitted);
  };
  EXPECT_THAT(submit(std::string(size_t{1} << 20, 'x'), 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("want at most")));
  constexpr int kJobs = 9;  // Half a MiB in all.
  for (int number = 1; number <= kJobs; ++number) {
    ASSERT_THAT(submit(std::string(60'000, 'x'), number), IsOk());
  }
  EXPECT_EQ(CallsLeft(sams), 100 - (1 + 4) - kJobs) << "the refused request was read";
  const auto veras = PersonChannel("vera", "viewer");
  v1::ListJobsResponse jobs;
  ASSERT_THAT(Call(*v1::JobService::NewStub(veras), &Jobs::ListJobs, v1::ListJobsRequest(), jobs),
              IsOk());
  ASSERT_EQ(jobs.jobs_size(), kJobs);
  EXPECT_EQ(CallsLeft(veras), 100 - (1 + 2));
}

// Each line is small.
TEST_F(LeaseAttacks, WhatAStreamBringsCostsItsCallerCallsToo) {
  End();
  limits_ = std::make_shared<callers::CallLimits>(
      callers::CallLimits::Most{.calls_per_second = 0.001, .calls_at_once = 100});
  Begin();
  artifacts_ = v1::ArtifactService::NewStub(channel_);
  jobs_ = v1::JobService::NewStub(channel_);
  Push("tiny", "its weights");
  rpc::HandWorker worker(DeviceChannel("device-a"), runtime::HelloOf("device-a"));
  const v1::Assignment assignment = SubmitTo(worker);
  constexpr int kLines = 150;  // 600 KiB.
  v1::WorkerMessage line;
  line.mutable_log()->set_attempt_id(assignment.attempt_id());
  line.mutable_log()->set_text(std::string(4096, 'x'));
  for (int number = 0; number < kLines; ++number) {
    ASSERT_TRUE(worker.Send(line));
  }
  v1::Report accepted;
  accepted.mutable_accepted()->set_attempt_id(assignment.attempt_id());
  accepted.mutable_accepted()->set_fencing_token(assignment.fencing_token());
  worker.Report(accepted);
  ASSERT_TRUE(worker.ReadUntilAcknowledged());
  const auto veras = PersonChannel("vera", "viewer");
  const auto veras_jobs = v1::JobService::NewStub(veras);
  grpc::ClientContext context;
  rpc::SetDeadline(context);
  v1::GetJobLogsRequest request;
  request.set_job_id(assignment.job_id());
  const auto logs = veras_jobs->GetJobLogs(&context, request);
  v1::LogLine read;
  int lines = 0;
  while (logs->Read(&read)) {
    ++lines;
  }
  ASSERT_EQ(lines, kLines) << logs->Finish().error_message();
  EXPECT_EQ(CallsLeft(veras), 100 - (1 + 2));
}

// The fencing token is no secret between boards: the attempt's board is asked for too.
TEST_F(LeaseAttacks, AReportForAnotherBoardsAttemptChangesNothing) {
  Push("tiny", "its weights");
  rpc::HandWorker worker(board_channel_, runtime::HelloOf("device-a"));
  const v1::Assignment assignment = SubmitTo(worker);
  rpc::HandWorker forger(DeviceChannel("device-b"), runtime::HelloOf("device-b"));
  v1::Report failed;
  failed.mutable_failed()->set_attempt_id(assignment.attempt_id());
  failed.mutable_failed()->set_fencing_token(assignment.fencing_token());
  failed.mutable_failed()->set_failure_class(v1::FAILURE_CLASS_SPEC);
  failed.mutable_failed()->set_message("as the board says");
  forger.Report(failed);
  ASSERT_TRUE(forger.ReadUntilAcknowledged());
  EXPECT_EQ(StateOf(assignment.job_id()), v1::JOB_STATE_ACTIVE);
  worker.Report(failed);
  ASSERT_TRUE(worker.ReadUntilAcknowledged());
  EXPECT_EQ(StateOf(assignment.job_id()), v1::JOB_STATE_FAILED) << "its own word counts";
}

// A reason or a message lies in the journal and in each list of jobs. Of boards, whose words must
// not stop the report, the rest is cut off.
TEST_F(LeaseAttacks, WordsWithoutAnEndAreRefusedOrCut) {
  constexpr size_t kToldMax = 2000;
  const std::string words(size_t{3} << 20, 'x');
  Push("tiny", "its weights");
  rpc::HandWorker worker(board_channel_, runtime::HelloOf("device-a"));
  const v1::Assignment assignment = SubmitTo(worker);
  const auto told = [&] {
    v1::GetJobRequest get;
    get.set_job_id(assignment.job_id());
    v1::Job job;
    EXPECT_THAT(Call(*jobs_, &Jobs::GetJob, get, job), IsOk());
    return job;
  };
  v1::Report report;
  v1::AttemptPaused& paused = *report.mutable_paused();
  paused.set_attempt_id(assignment.attempt_id());
  paused.set_fencing_token(assignment.fencing_token());
  paused.set_reason(words);
  worker.Report(report);
  ASSERT_TRUE(worker.ReadUntilAcknowledged());
  EXPECT_EQ(told().attempts(0).reason().size(), kToldMax);

  v1::CancelJobRequest cancel;
  cancel.set_job_id(assignment.job_id());
  cancel.set_reason(words);
  v1::Job cancelled;
  EXPECT_THAT(Call(*jobs_, &Jobs::CancelJob, cancel, cancelled),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reason: 3145728 bytes")));
  const auto devices = v1::DeviceService::NewStub(channel_);
  v1::DrainDeviceRequest drain;
  drain.set_device("device-a");
  drain.set_reason(words);
  v1::Device drained;
  EXPECT_THAT(Call(*devices, &v1::DeviceService::Stub::DrainDevice, drain, drained),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reason: 3145728 bytes")));
  v1::CommitArtifactRequest commit;
  *commit.mutable_manifest() = ManifestOf("its weights");
  *commit.mutable_info() = runtime::ModelInfoOf("other");
  commit.mutable_info()->mutable_recipe()->set_name(words);
  v1::ArtifactInfo pushed;
  EXPECT_THAT(Call(*artifacts_, &Artifacts::CommitArtifact, commit, pushed),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("info: 31")));

  v1::AttemptFailed& failed = *report.mutable_failed();
  failed.set_attempt_id(assignment.attempt_id());
  failed.set_fencing_token(assignment.fencing_token());
  failed.set_failure_class(v1::FAILURE_CLASS_SPEC);
  failed.set_message(words);
  worker.Report(report);
  ASSERT_TRUE(worker.ReadUntilAcknowledged());
  const v1::Job ended = told();
  EXPECT_EQ(ended.state(), v1::JOB_STATE_FAILED);
  EXPECT_LT(ended.ByteSizeLong(), 10 * kToldMax) << "the reason, the attempt's and the receipt's";
}

// What it uploads it has, and nothing by a manifest that names what it has not.
TEST_F(LeaseAttacks, ABoardsManifestOfUnownedChunksIsNoArtifact) {
  Push("secret", "other weights");
  Push("tiny", "its weights");
  rpc::HandWorker worker(board_channel_, runtime::HelloOf("device-a"));
  const v1::Assignment assignment = SubmitTo(worker);
  v1::MissingChunksRequest ask;
  *ask.mutable_manifest() = ManifestOf("other weights");
  v1::MissingChunksResponse missing;
  ASSERT_THAT(Call(*board_, &Artifacts::MissingChunks, ask, missing), IsOk());
  EXPECT_EQ(missing.chunk_sha256_size(), 1) << "it proves by the bytes that it has them";
  v1::CommitArtifactRequest commit;
  *commit.mutable_manifest() = ManifestOf("other weights");
  commit.mutable_info()->set_kind(v1::ARTIFACT_KIND_RESULT);
  commit.mutable_info()->set_job_id(assignment.job_id());
  v1::ArtifactInfo committed;
  EXPECT_THAT(Call(*board_, &Artifacts::CommitArtifact, commit, committed),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("1 chunks are missing")));
  ASSERT_THAT(PutChunk(*board_, "own result"), IsOk());
  *commit.mutable_manifest() = ManifestOf("own result");
  EXPECT_THAT(Call(*board_, &Artifacts::CommitArtifact, commit, committed), IsOk());
  EXPECT_THAT(FetchChunk(*board_, "own result"), IsOk());
  EXPECT_THAT(FetchChunk(*other_, "own result"), IsNotThere());
}

}  // namespace
}  // namespace wattle::attacks
