// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a coordinator's whole gRPC side in this process, on a free port, and a worker that the
// test plays.
#ifndef WATTLE_COORDINATOR_RPC_TESTING_SERVER_FIXTURE_H_
#define WATTLE_COORDINATOR_RPC_TESTING_SERVER_FIXTURE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"

#include "artifacts/blob_store.h"
#include "artifacts/transfer/grpc_status.h"
#include "base/clock.h"
#include "base/tls/certificate.h"
#include "base/tls/credentials.h"
#include "base/tls/token.h"
#include "coordinator/authority/authority.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/rpc/fleet_service.h"
#include "coordinator/rpc/server.h"
#include "coordinator/runtime/api.h"
#include "coordinator/runtime/testing/runtime_fixture.h"
#include "identity/enroll.h"
#include "identity/identity.h"
#include "wattle/v1/fleet.grpc.pb.h"

namespace wattle::rpc {

inline void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + runtime::kPatience));
}

// A worker's stream that the test drives step by step.
class HandWorker {
 public:
  HandWorker(const std::shared_ptr<grpc::Channel>& channel, v1::Hello hello)
      : stub_(v1::FleetService::NewStub(channel)) {
    SetDeadline(context_);
    stream_ = stub_->Connect(&context_);
    v1::WorkerMessage message;
    *message.mutable_hello() = std::move(hello);
    stream_->Write(message);
  }
  ~HandWorker() { context_.TryCancel(); }

  bool Send(const v1::WorkerMessage& message) { return stream_->Write(message); }
  // Reads until a message of this kind; false when the stream ends first.
  bool ReadUntil(v1::CoordinatorMessage::MessageCase kind, v1::CoordinatorMessage& message) {
    while (stream_->Read(&message)) {
      if (message.message_case() == kind) {
        return true;
      }
    }
    return false;
  }
  // Until the latest report is durable: a hello is acknowledged too.
  bool ReadUntilAcknowledged() {
    v1::CoordinatorMessage message;
    while (ReadUntil(v1::CoordinatorMessage::kAcknowledgement, message)) {
      if (message.acknowledgement().sequence() >= sequence_) {
        return true;
      }
    }
    return false;
  }
  bool ReadUntilAssigned(v1::Assignment& assignment) {
    v1::CoordinatorMessage message;
    while (ReadUntil(v1::CoordinatorMessage::kDesired, message)) {
      if (message.desired().assignments_size() > 0) {
        assignment = message.desired().assignments(0);
        return true;
      }
    }
    return false;
  }
  void Report(v1::Report report) {
    v1::WorkerMessage message;
    *message.mutable_report() = std::move(report);
    message.mutable_report()->set_sequence(++sequence_);
    message.mutable_report()->set_at_unix_seconds(
        absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
    EXPECT_TRUE(Send(message));
  }
  void Beat(const v1::Heartbeat& heartbeat) {
    v1::WorkerMessage message;
    *message.mutable_heartbeat() = heartbeat;
    EXPECT_TRUE(Send(message));
  }
  grpc::Status Finish() {
    stream_->WritesDone();
    return FinishAsIs();
  }
  grpc::Status FinishAsIs() {
    v1::CoordinatorMessage message;
    while (stream_->Read(&message)) {
    }
    return stream_->Finish();
  }

 private:
  std::unique_ptr<v1::FleetService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;
  int64_t sequence_ = 0;
};

// Before gRPC starts in this process.
inline const bool kTls13Alone = [] {
  tls::UseTls13Alone();
  return true;
}();

class ServerFixture : public runtime::RuntimeFixture {
 protected:
  ServerFixture() { Begin(); }
  ~ServerFixture() override { End(); }

  void Begin() {
    runtime::RuntimeOptions options;
    options.progress_interval = absl::Milliseconds(20);
    options.metric_sink = metric_sink_;
    adjust_(options);
    runtime_ = StartRuntime(options, &streams_);
    artifacts::BlobStoreOptions store_options;
    store_options.directory = Path("artifacts");
    store_options.free_space_reserve_bytes = 1000;
    store_options.free_space = [this](const std::string& path) {
      return free_bytes_ >= 0 ? absl::StatusOr<int64_t>(free_bytes_) : artifacts::FreeSpaceOf(path);
    };
    auto store = artifacts::BlobStore::Open(store_options, Clock::Real());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    api_ = std::make_unique<runtime::Api>(*runtime_);
    auto authority = authority::Authority::Open(Path("authority"), {}, Clock::Real());
    ASSERT_TRUE(authority.ok()) << authority.status();
    authority_ = *std::move(authority);
    ServerOptions server_options = {.listen_address = "127.0.0.1:0",
                                    .heartbeat_interval = absl::Seconds(1),
                                    .authority = authority_.get(),
                                    .limits = limits_,
                                    .local_socket = Path("admin.sock")};
    adjust_server_(server_options);
    auto server = Server::Start(server_options, *api_, streams_, *store_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = PersonChannel("ann", "admin");
  }
  void End() {
    channel_.reset();
    server_.reset();
    authority_.reset();
    runtime_.reset();
    api_.reset();
    store_.reset();
  }

  // A token as the coordinator makes it; `token` says for whom. The rest has defaults.
  std::string MakeToken(v1::EnrolmentToken token) {
    const std::string secret = *tls::RandomHex(16);
    token.set_token_id(*tls::RandomHex(8));
    token.set_secret_sha256(tls::Sha256(secret));
    if (token.uses() == 0) {
      token.set_uses(1);
    }
    if (token.expires_unix_seconds() == 0.0) {
      token.set_expires_unix_seconds(core::ToUnix(absl::Now() + absl::Hours(1)));
    }
    core::CreateTokens command;
    command.tokens.push_back(token);
    EXPECT_TRUE(runtime_->PostAndWait(command, runtime::kPatience).status.ok());
    return tls::FormatToken({server_->address(), token.token_id(), secret, authority_->pin()});
  }
  std::string DeviceToken() {
    v1::EnrolmentToken token;
    token.set_kind(core::kDeviceKind);
    return MakeToken(token);
  }
  // A token whose devices wait for approval.
  std::string ApprovalToken() {
    v1::EnrolmentToken token;
    token.set_kind(core::kDeviceKind);
    token.set_approve(true);
    return MakeToken(token);
  }
  std::string PersonToken(const std::string& person, const std::string& role) {
    v1::EnrolmentToken token;
    token.set_kind(core::kPersonKind);
    token.set_person(person);
    token.set_role(role);
    return MakeToken(token);
  }
  // Connections of a device or a person who enrolled as users do.
  std::shared_ptr<grpc::Channel> DeviceChannel(const std::string& id = "device-a") {
    return ChannelOf(Path("device-" + id), DeviceToken(), id);
  }
  std::shared_ptr<grpc::Channel> PersonChannel(const std::string& person, const std::string& role) {
    return ChannelOf(Path("person-" + person), PersonToken(person, role), "");
  }
  std::shared_ptr<grpc::Channel> ChannelOf(const std::string& folder, const std::string& token,
                                           const std::string& device_id) {
    auto identity = identity::Load(folder);
    if (!identity.ok()) {
      identity = identity::Enroll(folder, token, device_id);
    }
    EXPECT_TRUE(identity.ok()) << identity.status();
    return grpc::CreateChannel(server_->address(),
                               identity::CredentialsOf(*identity, Clock::Real()));
  }

  // Calls a unary method: Call(*stub, &Stub::GetJob, request, response).
  template <typename Stub, typename Method, typename Request, typename Response>
  static absl::Status Call(Stub& stub, Method method, const Request& request, Response& response) {
    grpc::ClientContext context;
    SetDeadline(context);
    return FromGrpc((stub.*method)(&context, request, &response));
  }

  int64_t free_bytes_ = -1;  // The free space that the store sees; -1: the real free space.
  std::shared_ptr<callers::CallLimits> limits_ = std::make_shared<callers::CallLimits>();
  // Set by subclasses; takes effect with the next Begin.
  std::function<void(runtime::RuntimeOptions&)> adjust_ = [](runtime::RuntimeOptions&) {};
  std::function<void(ServerOptions&)> adjust_server_ = [](ServerOptions&) {};
  runtime::MetricSink* metric_sink_ = nullptr;  // Null: workers' metrics are not taken.
  StreamTable streams_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<artifacts::BlobStore> store_;
  std::unique_ptr<runtime::Api> api_;
  std::unique_ptr<authority::Authority> authority_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;  // Ann's, an admin.
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_TESTING_SERVER_FIXTURE_H_
