// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the services over a real connection: the calls of a person, a script and a worker.
#include "coordinator/rpc/server.h"

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/transfer/transfer.h"
#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/rpc/testing/generic_call_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "coordinator/store/journal.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::rpc {
namespace {

using runtime::GenerateSpecOf;
using runtime::HelloOf;
using runtime::ModelInfoOf;
using testing::HasSubstr;

class ServerTest : public ServerFixture {
 protected:
  ServerTest()
      : jobs_(v1::JobService::NewStub(channel_)),
        devices_(v1::DeviceService::NewStub(channel_)),
        policies_(v1::PolicyService::NewStub(channel_)),
        artifacts_(v1::ArtifactService::NewStub(channel_)) {}

  std::string WriteFile(const std::string& name, const std::string& bytes) {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
  absl::StatusOr<v1::ArtifactInfo> PushModel(const std::string& name) {
    return artifacts::Push(*artifacts_, WriteFile("weights", std::string(3 << 20, 'w')),
                           ModelInfoOf(name));
  }
  absl::StatusOr<v1::SubmitJobResponse> Submit(const std::string& model, const std::string& key) {
    v1::SubmitJobRequest request;
    *request.mutable_spec() = GenerateSpecOf(model);
    request.set_idempotency_key(key);
    v1::SubmitJobResponse response;
    const absl::Status status = Call(*jobs_, &v1::JobService::Stub::SubmitJob, request, response);
    return status.ok() ? absl::StatusOr<v1::SubmitJobResponse>(response) : status;
  }
  absl::StatusOr<v1::Device> GetDevice(const std::string& reference) {
    v1::GetDeviceRequest request;
    request.set_device(reference);
    v1::Device device;
    const absl::Status status =
        Call(*devices_, &v1::DeviceService::Stub::GetDevice, request, device);
    return status.ok() ? absl::StatusOr<v1::Device>(device) : status;
  }

  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::DeviceService::Stub> devices_;
  std::unique_ptr<v1::PolicyService::Stub> policies_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
};

v1::Report Accepted(const v1::Assignment& assignment) {
  v1::Report report;
  report.mutable_accepted()->set_attempt_id(assignment.attempt_id());
  report.mutable_accepted()->set_fencing_token(assignment.fencing_token());
  return report;
}
v1::Report Started(const v1::Assignment& assignment) {
  v1::Report report;
  report.mutable_started()->set_attempt_id(assignment.attempt_id());
  report.mutable_started()->set_fencing_token(assignment.fencing_token());
  return report;
}
v1::Report Finished(const v1::Assignment& assignment, const v1::ArtifactInfo& output) {
  v1::Report report;
  v1::AttemptFinished& finished = *report.mutable_finished();
  finished.set_attempt_id(assignment.attempt_id());
  finished.set_fencing_token(assignment.fencing_token());
  finished.mutable_receipt()->set_attempt_id(assignment.attempt_id());
  finished.mutable_receipt()->set_output_artifact_id(output.artifact_id());
  *finished.mutable_output() = output;
  return report;
}

TEST_F(ServerTest, AJobGoesFromSubmitToItsResult) {
  ASSERT_THAT(PushModel("tiny"), IsOk());
  HandWorker worker(DeviceChannel(), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  EXPECT_GT(message.welcome().heartbeat_seconds(), 0);

  const auto submitted = Submit("tiny", "key-1");
  ASSERT_THAT(submitted, IsOk());
  EXPECT_FALSE(submitted->existed());
  grpc::ClientContext watch_context;
  SetDeadline(watch_context);
  v1::WatchJobRequest watch_request;
  watch_request.set_job_id(submitted->job().job_id());
  const auto watch = jobs_->WatchJob(&watch_context, watch_request);

  v1::Assignment assignment;
  ASSERT_TRUE(worker.ReadUntilAssigned(assignment));
  EXPECT_EQ(assignment.job_id(), submitted->job().job_id());
  ASSERT_EQ(assignment.inputs_size(), 1);
  EXPECT_EQ(assignment.inputs(0).artifact_id().size(), 64U);
  worker.Report(Accepted(assignment));
  worker.Report(Started(assignment));
  v1::WorkerMessage log;
  log.mutable_log()->set_attempt_id(assignment.attempt_id());
  log.mutable_log()->set_text("hello from the runner");
  ASSERT_TRUE(worker.Send(log));
  v1::Heartbeat heartbeat;
  heartbeat.add_progress()->set_attempt_id(assignment.attempt_id());
  heartbeat.mutable_progress(0)->set_step(3);
  worker.Beat(heartbeat);
  v1::JobUpdate update;
  while (update.progress().step() != 3) {
    ASSERT_TRUE(watch->Read(&update)) << "progress reaches the watcher";
  }
  v1::ArtifactInfo output = ModelInfoOf("");
  output.set_kind(v1::ARTIFACT_KIND_RESULT);
  output.set_job_id(assignment.job_id());
  const auto boards = v1::ArtifactService::NewStub(DeviceChannel());
  const auto pushed = artifacts::Push(*boards, WriteFile("result", "{}"), output);
  ASSERT_THAT(pushed, IsOk());
  worker.Report(Finished(assignment, *pushed));
  while (watch->Read(&update)) {
  }
  EXPECT_TRUE(watch->Finish().ok());
  EXPECT_EQ(update.job().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(update.job().output_artifact_id(), pushed->artifact_id());

  grpc::ClientContext logs_context;
  SetDeadline(logs_context);
  v1::GetJobLogsRequest logs_request;
  logs_request.set_job_id(submitted->job().job_id());
  logs_request.set_follow(true);
  const auto logs = jobs_->GetJobLogs(&logs_context, logs_request);
  v1::LogLine line;
  ASSERT_TRUE(logs->Read(&line));
  EXPECT_EQ(line.text(), "hello from the runner");
  EXPECT_FALSE(logs->Read(&line)) << "ends with the job";
  EXPECT_TRUE(logs->Finish().ok());
}

TEST_F(ServerTest, WhatEndedOnARevokedBoardIsFoundInMemoryAndInTheHistory) {
  ASSERT_THAT(PushModel("tiny"), IsOk());
  auto worker = std::make_unique<HandWorker>(DeviceChannel(), HelloOf("device-a"));
  for (const std::string key : {"old", "new"}) {
    const auto submitted = Submit("tiny", key);
    ASSERT_THAT(submitted, IsOk());
    v1::Assignment assignment;
    while (assignment.job_id() != submitted->job().job_id()) {
      ASSERT_TRUE(worker->ReadUntilAssigned(assignment));
    }
    v1::Report failed;
    failed.mutable_failed()->set_attempt_id(assignment.attempt_id());
    failed.mutable_failed()->set_fencing_token(assignment.fencing_token());
    failed.mutable_failed()->set_failure_class(v1::FAILURE_CLASS_SPEC);
    worker->Report(failed);
    ASSERT_TRUE(worker->ReadUntilAcknowledged());
  }
  worker.reset();
  v1::Event archived;
  archived.mutable_job_archived()->set_idempotency_key("old");
  *archived.mutable_job_archived()->mutable_job() =
      runtime_->Read([](const core::State& state) { return state.jobs.at(1).job(); });
  End();
  {
    const auto journal = store::Journal::Open(Path("journal.db"));
    ASSERT_THAT(journal, IsOk());
    archived.set_sequence((*journal)->last_sequence() + 1);
    ASSERT_THAT((*journal)->Append({archived}), IsOk());
  }
  Begin();
  ASSERT_EQ(runtime_->Read([](const core::State& state) { return state.jobs.size(); }), 1U);
  const auto access = v1::AccessService::NewStub(channel_);
  v1::RevokeDeviceRequest revoke;
  revoke.set_device("device-a");
  v1::RevokeDeviceResponse revoked;
  ASSERT_THAT(Call(*access, &v1::AccessService::Stub::RevokeDevice, revoke, revoked), IsOk());
  EXPECT_THAT(revoked.job_ids(), testing::ElementsAre("j1", "j2"));
  revoke.set_since_unix_seconds(core::ToUnix(absl::Now() + absl::Hours(1)));
  ASSERT_THAT(Call(*access, &v1::AccessService::Stub::RevokeDevice, revoke, revoked), IsOk());
  EXPECT_THAT(revoked.job_ids(), testing::IsEmpty());
}

TEST_F(ServerTest, ARepeatedSubmitIsOneJob) {
  ASSERT_THAT(PushModel("tiny"), IsOk());
  const auto first = Submit("tiny", "same");
  const auto second = Submit("tiny", "same");
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(first->job().job_id(), second->job().job_id());
  EXPECT_TRUE(second->existed());
  EXPECT_THAT(Submit("tiny", ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("idempotency_key")));
}

TEST_F(ServerTest, ASubmitWithAnUnknownModelNamesTheField) {
  EXPECT_THAT(Submit("nothing", "key"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("generate.model")));
}

TEST_F(ServerTest, AnUnknownFieldIsNotSupported) {
  v1::SubmitJobRequest request;
  *request.mutable_spec() = GenerateSpecOf("tiny");
  request.set_idempotency_key("key");
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(77, 1);
  v1::SubmitJobResponse response;
  EXPECT_THAT(
      Call(*jobs_, &v1::JobService::Stub::SubmitJob, request, response),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("not supported in this version")));
}

TEST_F(ServerTest, ARefusalThatRepeatsALineEndIsOneLine) {
  EXPECT_THAT(GetDevice("two\nlines"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("two lines")));
}

TEST_F(ServerTest, HeartbeatsShowInTheDevice) {
  HandWorker worker(DeviceChannel(), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  v1::Heartbeat heartbeat;
  heartbeat.set_has_power(true);
  heartbeat.set_power_watts(7.5);
  worker.Beat(heartbeat);
  // Messages are handled in order: once this report is acknowledged, the heartbeat has arrived.
  v1::Report ledger;
  ledger.mutable_ledger()->set_idle_energy_joules(1);
  worker.Report(ledger);
  do {
    ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kAcknowledgement, message));
  } while (message.acknowledgement().sequence() < 1);
  const auto device = GetDevice("name-of-device-a");
  ASSERT_THAT(device, IsOk());
  EXPECT_TRUE(device->connected());
  EXPECT_EQ(device->heartbeat().power_watts(), 7.5);
  EXPECT_EQ(runtime_->heartbeats().heartbeats_total(), 1U);
  EXPECT_TRUE(worker.Finish().ok());
}

TEST_F(ServerTest, HeartbeatsThatSayWhatChangedShowInTheDevice) {
  HandWorker worker(DeviceChannel(), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  EXPECT_TRUE(message.welcome().takes_heartbeat_changes());
  v1::Heartbeat whole;
  whole.set_power_watts(7.5);
  whole.set_guard_reason("too hot");
  worker.Beat(whole);
  v1::WorkerMessage changes;
  changes.mutable_heartbeat_changes()->mutable_changed()->set_power_watts(2.5);
  changes.mutable_heartbeat_changes()->add_cleared_fields(v1::Heartbeat::kGuardReasonFieldNumber);
  EXPECT_TRUE(worker.Send(changes));
  changes.mutable_heartbeat_changes()->Clear();  // nothing changed
  EXPECT_TRUE(worker.Send(changes));
  v1::Report ledger;
  ledger.mutable_ledger()->set_idle_energy_joules(1);
  worker.Report(ledger);
  do {
    ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kAcknowledgement, message));
  } while (message.acknowledgement().sequence() < 1);
  const auto device = GetDevice("name-of-device-a");
  ASSERT_THAT(device, IsOk());
  EXPECT_EQ(device->heartbeat().power_watts(), 2.5);
  EXPECT_EQ(device->heartbeat().guard_reason(), "");
  EXPECT_EQ(runtime_->heartbeats().heartbeats_total(), 3U);
  EXPECT_TRUE(worker.Finish().ok());
}

TEST_F(ServerTest, TheNewestStreamOfADeviceClosesTheOlder) {
  HandWorker older(DeviceChannel(), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(older.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  HandWorker newer(DeviceChannel(), HelloOf("device-a"));
  ASSERT_TRUE(newer.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  ASSERT_TRUE(older.ReadUntil(v1::CoordinatorMessage::kClosing, message));
  EXPECT_THAT(message.closing().reason(), HasSubstr("newer stream"));
  EXPECT_EQ(older.FinishAsIs().error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(streams_.size(), 1U);
  EXPECT_TRUE(GetDevice("device-a")->connected()) << "the older one's end does not count";
}

TEST_F(ServerTest, ACoordinatorThatMovedSendsWorkersOnAndServesNobody) {
  const auto device = DeviceChannel();
  const std::string address = server_->address();
  server_.reset();
  auto moved = Server::Start(
      {.listen_address = address, .authority = authority_.get(), .moved_to = "new.local:7410"},
      *api_, streams_, *store_);
  ASSERT_THAT(moved, IsOk());
  server_ = *std::move(moved);
  HandWorker worker(device, HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kClosing, message));
  EXPECT_EQ(message.closing().moved_to(), "new.local:7410");
  EXPECT_THAT(message.closing().reason(), HasSubstr("has moved to new.local:7410"));
  EXPECT_EQ(worker.FinishAsIs().error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(streams_.size(), 0U);
  const Outcome asked = CallGeneric(channel_, "/wattle.v1.JobService/ListJobs", "");
  EXPECT_EQ(asked.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(asked.status.error_message(), HasSubstr("--coordinator new.local:7410"));
}

TEST_F(ServerTest, WithoutAnAuthorityItSpeaksPlainText) {
  server_.reset();
  auto plain = Server::Start({.listen_address = "127.0.0.1:0"}, *api_, streams_, *store_);
  ASSERT_THAT(plain, IsOk());
  server_ = *std::move(plain);
  const auto channel = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  const Outcome asked = CallGeneric(channel, "/wattle.v1.JobService/ListJobs", "");
  EXPECT_TRUE(asked.status.ok()) << asked.status.error_message();
}

TEST_F(ServerTest, AStreamMustBeginWithAValidHello) {
  v1::Hello hello = HelloOf("device-a");
  hello.mutable_device()->clear_device_id();
  HandWorker nameless(DeviceChannel(), hello);
  EXPECT_EQ(nameless.FinishAsIs().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, ANewerWorkerIsNotLockedOut) {
  v1::Hello hello = HelloOf("device-a");
  hello.set_protocol_min(2);
  hello.set_protocol_max(9);
  hello.GetReflection()->MutableUnknownFields(&hello)->AddVarint(999, 1);
  hello.mutable_device()
      ->GetReflection()
      ->MutableUnknownFields(hello.mutable_device())
      ->AddVarint(998, 1);
  HandWorker worker(DeviceChannel(), hello);
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  EXPECT_EQ(message.welcome().protocol(), core::kProtocol);
  v1::WorkerMessage newer;  // This version does not know the kind; it skips and counts the message.
  newer.GetReflection()->MutableUnknownFields(&newer)->AddLengthDelimited(99, "hello");
  ASSERT_TRUE(worker.Send(newer));
  v1::WorkerMessage report;
  report.mutable_report()->set_sequence(1);
  report.mutable_report()
      ->GetReflection()
      ->MutableUnknownFields(report.mutable_report())
      ->AddLengthDelimited(99, "a fact of a newer version");
  ASSERT_TRUE(worker.Send(report));
  do {
    ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kAcknowledgement, message));
  } while (message.acknowledgement().sequence() < 1);
  EXPECT_EQ(runtime_->heartbeats().unknown_messages_total(), 1U);
  worker.Finish();
}

TEST_F(ServerTest, AWorkerOfADistantVersionGetsAnError) {
  v1::Hello hello = HelloOf("device-a");
  hello.set_protocol_min(core::kProtocol + 1);
  hello.set_protocol_max(core::kProtocol + 2);
  HandWorker worker(DeviceChannel(), hello);
  const grpc::Status status = worker.FinishAsIs();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("update the coordinator"));
}

TEST_F(ServerTest, AWorkerMaySayHelloAnewOnItsStream) {
  v1::Hello hello = HelloOf("device-a");
  HandWorker worker(DeviceChannel(), hello);
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  EXPECT_FALSE(message.welcome().lineage_id().empty());
  hello.set_lineage_id(message.welcome().lineage_id());
  hello.set_epoch(message.welcome().epoch());
  hello.set_opening_id(message.welcome().opening_id());
  hello.set_incarnation(2);
  v1::WorkerMessage again;
  *again.mutable_hello() = hello;
  ASSERT_TRUE(worker.Send(again));
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  EXPECT_EQ(GetDevice("device-a")->incarnation(), 2);
  EXPECT_TRUE(GetDevice("device-a")->connected());
  worker.Finish();
}

TEST_F(ServerTest, AReportWithAGapEndsTheStreamAndKeepsTheMark) {
  HandWorker worker(DeviceChannel(), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  v1::WorkerMessage gap;
  gap.mutable_report()->set_sequence(5);
  gap.mutable_report()->mutable_ledger()->set_idle_energy_joules(1);
  ASSERT_TRUE(worker.Send(gap));
  EXPECT_EQ(worker.FinishAsIs().error_code(), grpc::StatusCode::OUT_OF_RANGE);
  HandWorker again(DeviceChannel(), HelloOf("device-a"));
  ASSERT_TRUE(again.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  EXPECT_EQ(message.welcome().acknowledged_sequence(), 0);
}

TEST_F(ServerTest, DrainAndResumeReachDeviceAndWorker) {
  HandWorker worker(DeviceChannel(), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message));
  v1::DrainDeviceRequest drain;
  drain.set_device("name-of-device-a");
  drain.set_reason("cleaning the panel");
  v1::Device device;
  ASSERT_THAT(Call(*devices_, &v1::DeviceService::Stub::DrainDevice, drain, device), IsOk());
  EXPECT_TRUE(device.drained());
  EXPECT_EQ(device.drain_reason(), "cleaning the panel");
  do {
    ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  } while (!message.desired().drained());
  v1::ResumeDeviceRequest resume;
  resume.set_device("device-a");
  ASSERT_THAT(Call(*devices_, &v1::DeviceService::Stub::ResumeDevice, resume, device), IsOk());
  EXPECT_FALSE(device.drained());
}

TEST_F(ServerTest, PoliciesAreAppliedListedAndDeleted) {
  v1::ApplyPolicyRequest apply;
  *apply.mutable_policy() = runtime::PolicyOf("night", 0.3);
  v1::Policy policy;
  ASSERT_THAT(Call(*policies_, &v1::PolicyService::Stub::ApplyPolicy, apply, policy), IsOk());
  v1::ListPoliciesResponse list;
  ASSERT_THAT(
      Call(*policies_, &v1::PolicyService::Stub::ListPolicies, v1::ListPoliciesRequest(), list),
      IsOk());
  ASSERT_EQ(list.policies_size(), 1);
  EXPECT_EQ(list.policies(0).reserve_state_of_charge_ratio(), 0.3);
  apply.mutable_policy()->set_reserve_state_of_charge_ratio(30);
  EXPECT_THAT(Call(*policies_, &v1::PolicyService::Stub::ApplyPolicy, apply, policy),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reserve")));
  v1::DeletePolicyRequest remove;
  remove.set_name("night");
  v1::DeletePolicyResponse removed;
  EXPECT_THAT(Call(*policies_, &v1::PolicyService::Stub::DeletePolicy, remove, removed), IsOk());
  EXPECT_THAT(Call(*policies_, &v1::PolicyService::Stub::DeletePolicy, remove, removed),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("night")));
}

TEST_F(ServerTest, ArtifactsArePushedResolvedAndFetched) {
  const auto pushed = PushModel("tiny");
  ASSERT_THAT(pushed, IsOk());
  v1::ResolveArtifactRequest resolve;
  resolve.set_reference("tiny");
  v1::ArtifactInfo info;
  ASSERT_THAT(Call(*artifacts_, &v1::ArtifactService::Stub::ResolveArtifact, resolve, info),
              IsOk());
  EXPECT_EQ(info.artifact_id(), pushed->artifact_id());
  EXPECT_EQ(info.size_bytes(), 3 << 20);
  EXPECT_GT(info.created_unix_seconds(), 0);
  const auto cache = artifacts::FileCache::Open({.directory = Path("cache")}, Clock::Real());
  ASSERT_THAT(cache, IsOk());
  EXPECT_THAT(artifacts::Fetch(*artifacts_, ArtifactId(info.artifact_id()), **cache), IsOk());
}

TEST_F(ServerTest, AFullDiskRefusesTheUploadAndNothingIsListed) {
  free_bytes_ = 1 << 20;
  EXPECT_THAT(PushModel("tiny"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("free space")));
  v1::ListArtifactsResponse list;
  ASSERT_THAT(Call(*artifacts_, &v1::ArtifactService::Stub::ListArtifacts,
                   v1::ListArtifactsRequest(), list),
              IsOk());
  EXPECT_EQ(list.artifacts_size(), 0);
}

TEST_F(ServerTest, AnArtifactNameThatCouldBeAReferenceIsRefused) {
  for (const std::string& name :
       std::vector<std::string>{"job:j1/output", "a/b", "two words", std::string(64, 'a')}) {
    EXPECT_THAT(PushModel(name), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name")))
        << name;
  }
}

TEST_F(ServerTest, AfterARestartJobsDevicesAndArtifactsAreThere) {
  ASSERT_THAT(PushModel("tiny"), IsOk());
  ASSERT_THAT(Submit("tiny", "key"), IsOk());
  End();
  Begin();
  jobs_ = v1::JobService::NewStub(channel_);
  const auto repeated = Submit("tiny", "key");
  ASSERT_THAT(repeated, IsOk());
  EXPECT_TRUE(repeated->existed());
  EXPECT_EQ(store_->ListArtifacts().size(), 1U);
}

TEST_F(ServerTest, APortInUseIsReported) {
  StreamTable streams;
  EXPECT_THAT(Server::Start({server_->address(), absl::Seconds(1)}, *api_, streams, *store_),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(server_->address())));
}

TEST_F(ServerTest, AJobBelongsToWhoeverSubmitsIt) {
  ASSERT_THAT(PushModel("tiny"), IsOk());
  const auto sam = v1::JobService::NewStub(PersonChannel("sam", "submitter"));
  const auto bob = v1::JobService::NewStub(PersonChannel("bob", "submitter"));
  v1::SubmitJobRequest submit;
  *submit.mutable_spec() = GenerateSpecOf("tiny");
  submit.set_idempotency_key("key");
  submit.mutable_spec()->set_owner("bob");
  v1::SubmitJobResponse submitted;
  EXPECT_THAT(Call(*sam, &v1::JobService::Stub::SubmitJob, submit, submitted),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("you are sam")));
  submit.mutable_spec()->clear_owner();
  ASSERT_THAT(Call(*sam, &v1::JobService::Stub::SubmitJob, submit, submitted), IsOk());
  EXPECT_EQ(submitted.job().spec().owner(), "sam");
  v1::CancelJobRequest cancel;
  cancel.set_job_id(submitted.job().job_id());
  v1::Job cancelled;
  EXPECT_THAT(Call(*bob, &v1::JobService::Stub::CancelJob, cancel, cancelled),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("does not cover this one")));
  EXPECT_THAT(Call(*sam, &v1::JobService::Stub::CancelJob, cancel, cancelled), IsOk());
}

}  // namespace
}  // namespace wattle::rpc
