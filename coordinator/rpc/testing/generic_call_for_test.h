// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: calls any method by its name, as a generic client (grpcurl) does.
#ifndef WATTLE_COORDINATOR_RPC_TESTING_GENERIC_CALL_FOR_TEST_H_
#define WATTLE_COORDINATOR_RPC_TESTING_GENERIC_CALL_FOR_TEST_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"

#include "coordinator/rpc/testing/server_fixture.h"

namespace wattle::rpc {

struct Outcome {
  grpc::Status status;
  std::vector<std::string> replies;  // At most replies_max.
};

// A refusal of the gate begins with the method, or says that a certificate is missing. Handlers
// refuse with other words.
inline bool IsRefusalOfGate(const grpc::Status& status, const std::string& method) {
  return (status.error_code() == grpc::StatusCode::PERMISSION_DENIED &&
          absl::StartsWith(status.error_message(), method)) ||
         (status.error_code() == grpc::StatusCode::UNAUTHENTICATED &&
          absl::StrContains(status.error_message(), "no certificate was shown"));
}

inline grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

inline std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// Calls a method of any kind as a generic client does: a stream of one request and up to
// `replies_max` replies.
inline Outcome CallGeneric(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                           const std::string& request, size_t replies_max = 3) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  SetDeadline(context);
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  Outcome outcome;
  if (wait()) {
    call->Write(ToBuffer(request), nullptr);
    if (wait()) {
      call->WritesDone(nullptr);
      wait();
      grpc::ByteBuffer reply;
      call->Read(&reply, nullptr);
      while (wait()) {
        outcome.replies.push_back(ToString(reply));
        if (outcome.replies.size() == replies_max) {
          break;
        }
        call->Read(&reply, nullptr);
      }
    }
  }
  if (outcome.replies.size() == replies_max) {
    context.TryCancel();
  }
  call->Finish(&outcome.status, nullptr);
  wait();
  queue.Shutdown();
  return outcome;
}

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_TESTING_GENERIC_CALL_FOR_TEST_H_
