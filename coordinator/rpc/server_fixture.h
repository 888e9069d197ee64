// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a coordinator's whole gRPC side in this process, on a free port, and a worker that the
// test plays.
#ifndef WATTLE_COORDINATOR_RPC_SERVER_FIXTURE_H_
#define WATTLE_COORDINATOR_RPC_SERVER_FIXTURE_H_

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
#include "coordinator/rpc/fleet_service.h"
#include "coordinator/rpc/server.h"
#include "coordinator/runtime/api.h"
#include "coordinator/runtime/runtime_fixture.h"
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

class ServerFixture : public runtime::RuntimeFixture {
 protected:
  ServerFixture() { Begin(); }
  ~ServerFixture() override { End(); }

  void Begin() {
    runtime::RuntimeOptions options;
    options.progress_interval = absl::Milliseconds(20);
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
    auto server = Server::Start({"127.0.0.1:0", absl::Seconds(1)}, *api_, streams_, *store_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  }
  void End() {
    channel_.reset();
    server_.reset();
    runtime_.reset();
    api_.reset();
    store_.reset();
  }

  // Calls a unary method: Call(*stub, &Stub::GetJob, request, response).
  template <typename Stub, typename Method, typename Request, typename Response>
  static absl::Status Call(Stub& stub, Method method, const Request& request, Response& response) {
    grpc::ClientContext context;
    SetDeadline(context);
    return FromGrpc((stub.*method)(&context, request, &response));
  }

  int64_t free_bytes_ = -1;  // The free space that the store sees; -1: the real free space.
  StreamTable streams_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<artifacts::BlobStore> store_;
  std::unique_ptr<runtime::Api> api_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_SERVER_FIXTURE_H_
