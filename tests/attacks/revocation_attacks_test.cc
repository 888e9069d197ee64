// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks by those who are refused: on streams that were open when they were revoked, and by floods
// of calls that nobody lets in.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "coordinator/rpc/testing/generic_call_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "tests/attacks/push_for_test.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/coordinator.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::attacks {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;

constexpr char kWeights[] = "weights of some bytes";

// A call that is open while its caller is revoked. One that nobody ends is over its deadline in the
// end, which is another status.
struct OpenCall {
  OpenCall() { context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10))); }
  grpc::ClientContext context;
};

class RevocationAttacks : public rpc::ServerFixture {
 protected:
  // Bytes of artifacts then wait for their turn, so that a transfer is under way for long.
  void PushThenSlowDown() {
    const auto artifacts = v1::ArtifactService::NewStub(channel_);
    ASSERT_THAT(PutChunk(*artifacts, kWeights), IsOk());
    v1::CommitArtifactRequest commit;
    *commit.mutable_manifest() = ManifestOf(kWeights);
    *commit.mutable_info() = runtime::ModelInfoOf("tiny");
    v1::ArtifactInfo pushed;
    ASSERT_THAT(Call(*artifacts, &v1::ArtifactService::Stub::CommitArtifact, commit, pushed),
                IsOk());
    End();
    limits_ = std::make_shared<callers::CallLimits>(
        callers::CallLimits::Most{.bytes_per_second = 0.1, .bytes_at_once = 1});
    Begin();
  }
  std::string Submit() {
    v1::SubmitJobRequest submit;
    *submit.mutable_spec() = runtime::GenerateSpecOf("tiny");
    submit.set_idempotency_key("one");
    v1::SubmitJobResponse submitted;
    EXPECT_THAT(Call(*v1::JobService::NewStub(channel_), &v1::JobService::Stub::SubmitJob, submit,
                     submitted),
                IsOk());
    return submitted.job().job_id();
  }
  static std::unique_ptr<grpc::ClientReader<v1::Chunk>> Fetch(
      const std::shared_ptr<grpc::Channel>& channel, OpenCall& call) {
    v1::GetChunksRequest request;
    request.add_sha256(tls::Sha256(kWeights));
    auto reader = v1::ArtifactService::NewStub(channel)->GetChunks(&call.context, request);
    v1::Chunk chunk;
    EXPECT_TRUE(reader->Read(&chunk)) << reader->Finish().error_message();
    return reader;
  }
  template <typename Message>
  static grpc::Status EndOf(grpc::ClientReader<Message>& reader) {
    Message message;
    while (reader.Read(&message)) {
    }
    return reader.Finish();
  }
  static auto IsOver() {
    return AnyOf(StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(" was revoked")),
                 StatusIs(absl::StatusCode::kCancelled, testing::_));
  }
};

TEST_F(RevocationAttacks, NoStreamOfARevokedPersonGoesOn) {
  PushThenSlowDown();
  const std::string job = Submit();
  const auto eve = PersonChannel("eve", "operator");
  OpenCall following;
  v1::WatchEventsRequest follow;
  follow.set_follow(true);
  follow.set_limit(1);
  const auto events = v1::CoordinatorService::NewStub(eve)->WatchEvents(&following.context, follow);
  v1::FleetEvent event;
  ASSERT_TRUE(events->Read(&event));
  OpenCall watching;
  v1::WatchJobRequest watch;
  watch.set_job_id(job);
  const auto updates = v1::JobService::NewStub(eve)->WatchJob(&watching.context, watch);
  v1::JobUpdate update;
  ASSERT_TRUE(updates->Read(&update));
  OpenCall listening;
  v1::GetJobLogsRequest logs;
  logs.set_job_id(job);
  logs.set_follow(true);
  const auto lines = v1::JobService::NewStub(eve)->GetJobLogs(&listening.context, logs);
  OpenCall fetching;
  const auto chunks = Fetch(eve, fetching);
  OpenCall sending;
  v1::PutChunksResponse sent;
  const auto upload = v1::ArtifactService::NewStub(eve)->PutChunks(&sending.context, &sent);
  v1::PutChunkRequest chunk;
  chunk.set_sha256(tls::Sha256(kWeights));
  chunk.set_data(kWeights);
  ASSERT_TRUE(upload->Write(chunk));

  v1::RevokePersonRequest revoke;
  revoke.set_person("eve");
  v1::RevokePersonResponse revoked;
  ASSERT_THAT(Call(*v1::AccessService::NewStub(channel_), &v1::AccessService::Stub::RevokePerson,
                   revoke, revoked),
              IsOk());
  for (const grpc::Status& status : {EndOf(*events), EndOf(*updates), EndOf(*lines)}) {
    EXPECT_THAT(FromGrpc(status),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("person eve was revoked")));
  }
  EXPECT_THAT(FromGrpc(EndOf(*chunks)), IsOver());
  EXPECT_THAT(FromGrpc(upload->Finish()), IsOver());
  const auto anns = v1::JobService::NewStub(channel_);
  v1::Job mine;
  v1::GetJobRequest get;
  get.set_job_id(job);
  EXPECT_THAT(Call(*anns, &v1::JobService::Stub::GetJob, get, mine), IsOk());
}

// A board that was taken from its mast is fetching a model.
TEST_F(RevocationAttacks, NoTransferOfARevokedBoardGoesOn) {
  PushThenSlowDown();
  const auto board = DeviceChannel("device-a");
  rpc::HandWorker worker(board, runtime::HelloOf("device-a"));
  Submit();
  v1::Assignment assignment;
  ASSERT_TRUE(worker.ReadUntilAssigned(assignment));
  OpenCall fetching;
  const auto chunks = Fetch(board, fetching);
  v1::RevokeDeviceRequest revoke;
  revoke.set_device("device-a");
  v1::RevokeDeviceResponse revoked;
  ASSERT_THAT(Call(*v1::AccessService::NewStub(channel_), &v1::AccessService::Stub::RevokeDevice,
                   revoke, revoked),
              IsOk());
  EXPECT_THAT(FromGrpc(EndOf(*chunks)), IsOver());
}

// A stream of a method that gRPC's own handlers answer: they know nothing of callers.
class OpenStream {
 public:
  OpenStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
             const std::string& request)
      : stub_(channel) {
    rpc::SetDeadline(context_);
    call_ = stub_.PrepareCall(&context_, method, &queue_);
    call_->StartCall(nullptr);
    if (Wait()) {
      call_->Write(rpc::ToBuffer(request), nullptr);
      (void)Wait();
    }
  }
  ~OpenStream() {
    context_.TryCancel();
    (void)Finish();
    queue_.Shutdown();
  }
  OpenStream(const OpenStream&) = delete;
  OpenStream& operator=(const OpenStream&) = delete;
  bool Read() {
    grpc::ByteBuffer reply;
    call_->Read(&reply, nullptr);
    return Wait();
  }
  grpc::Status Finish() {
    if (call_ != nullptr) {
      call_->Finish(&status_, nullptr);
      (void)Wait();
      call_.reset();
    }
    return status_;
  }

 private:
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::Status status_;
};

class OwnStreamAttacks : public rpc::ServerFixture {
 protected:
  using Channel = std::shared_ptr<grpc::Channel>;
  static std::unique_ptr<OpenStream> WatchHealth(const Channel& channel) {
    return std::make_unique<OpenStream>(channel, "/grpc.health.v1.Health/Watch", "");
  }
  static std::unique_ptr<OpenStream> Reflect(const Channel& channel) {
    return std::make_unique<OpenStream>(
        channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        std::string("\x3a\0", 2));  // list_services
  }
};

TEST_F(OwnStreamAttacks, TheyCountAsStreamsOfTheirCaller) {
  End();
  limits_ = std::make_shared<callers::CallLimits>(callers::CallLimits::Most{.streams = 2});
  Begin();
  const auto eve = PersonChannel("eve", "viewer");
  auto first = WatchHealth(eve);
  ASSERT_TRUE(first->Read());
  const auto second = Reflect(eve);
  ASSERT_TRUE(second->Read());
  for (const auto& third : {WatchHealth(eve), Reflect(eve)}) {
    EXPECT_FALSE(third->Read());
    EXPECT_THAT(FromGrpc(third->Finish()),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("person eve: 2 streams are open, which is the most")));
  }
  EXPECT_TRUE(WatchHealth(channel_)->Read()) << "ann's stream";
  first.reset();
  bool gets_one = false;
  for (const absl::Time begun = absl::Now();
       !gets_one && absl::Now() - begun < runtime::kPatience;) {
    gets_one = WatchHealth(eve)->Read();
  }
  EXPECT_TRUE(gets_one) << "a stream that ended counts no more";
}

TEST_F(OwnStreamAttacks, ARevocationEndsThem) {
  const auto eve = PersonChannel("eve", "viewer");
  const auto watch = WatchHealth(eve);
  const auto reflection = Reflect(eve);
  ASSERT_TRUE(watch->Read());
  ASSERT_TRUE(reflection->Read());
  v1::RevokePersonRequest revoke;
  revoke.set_person("eve");
  v1::RevokePersonResponse revoked;
  ASSERT_THAT(Call(*v1::AccessService::NewStub(channel_), &v1::AccessService::Stub::RevokePerson,
                   revoke, revoked),
              IsOk());
  for (OpenStream* const stream : {watch.get(), reflection.get()}) {
    EXPECT_FALSE(stream->Read());
    EXPECT_THAT(FromGrpc(stream->Finish()),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("was revoked")));
  }
}

class RefusalAttacks : public rpc::ServerFixture {
 protected:
  // How many of so many calls are refused for what the caller is, before they are too many.
  static int Judged(const std::shared_ptr<grpc::Channel>& channel, int calls) {
    int judged = 0;
    for (int i = 0; i < calls; ++i) {
      const grpc::Status status =
          rpc::CallGeneric(channel, "/wattle.v1.JobService/ListJobs", "").status;
      EXPECT_FALSE(status.ok());
      judged += status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ? 0 : 1;
    }
    return judged;
  }
  std::vector<std::string> AuditLines() {
    v1::WatchEventsRequest request;
    request.set_limit(1000);
    request.set_audited_alone(true);
    OpenCall call;
    const auto reader =
        v1::CoordinatorService::NewStub(channel_)->WatchEvents(&call.context, request);
    std::vector<std::string> lines;
    v1::FleetEvent event;
    while (reader->Read(&event)) {
      lines.push_back(absl::StrCat(event.kind(), ": ", event.text()));
    }
    EXPECT_THAT(FromGrpc(reader->Finish()), IsOk());
    return lines;
  }
};

TEST_F(RefusalAttacks, WhoeverIsRefusedHasNoMoreCallsThanOthers) {
  constexpr int kAtOnce = 20;
  const auto eve = PersonChannel("eve", "viewer");
  ASSERT_THAT(Ask(*runtime_, core::RevokeIdentity{core::kPersonKind, "eve", "left", "ann"}).status,
              IsOk());
  End();
  limits_ = std::make_shared<callers::CallLimits>(
      callers::CallLimits::Most{.calls_per_second = 0.001, .calls_at_once = kAtOnce});
  Begin();
  const auto thief =
      PersonChannel("eve", "viewer");  // The folder's certificate is the revoked one.
  EXPECT_EQ(Judged(thief, 2 * kAtOnce), kAtOnce);
  EXPECT_THAT(AuditLines(), Contains(HasSubstr("/person/eve was refused ")));
  // Whoever has the name now, by a new key, has all calls of their own.
  const auto eves = ChannelOf(Path("new-eve"), PersonToken("eve", "viewer"), "");
  EXPECT_TRUE(rpc::CallGeneric(eves, "/wattle.v1.JobService/ListJobs", "").status.ok());
}

// Each made-up method would be a line of its own, and a thousand lines all that the audit shows.
TEST_F(RefusalAttacks, AViewersFloodDisplacesNothingInTheAudit) {
  const auto eve = PersonChannel("eve", "viewer");
  for (int i = 0; i < 1200; ++i) {
    EXPECT_FALSE(rpc::CallGeneric(eve, absl::StrCat("/x", i), "").status.ok());
  }
  int of_the_flood = 0;
  bool tells_of_ann = false;
  for (const std::string& line : AuditLines()) {
    of_the_flood += absl::StartsWith(line, "call_refused: ") ? 1 : 0;
    tells_of_ann = tells_of_ann || absl::StartsWith(line, "identity_enrolled: ");
  }
  EXPECT_EQ(of_the_flood, 1);
  EXPECT_TRUE(tells_of_ann);
}

}  // namespace
}  // namespace wattle::attacks
