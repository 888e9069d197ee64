// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/message_counter.h"

#include "absl/strings/match.h"
#include "google/protobuf/message_lite.h"

namespace wattle::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Counted final : public grpc::experimental::Interceptor {
 public:
  Counted(const Gate& gate, const grpc::ServerContextBase& context)
      : gate_(gate), context_(context) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      Note(methods->GetRecvMessage());
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      Note(methods->GetSendMessage());
    }
    methods->Proceed();
  }

 private:
  // message: of protobuf, as all of Wattle's services have them; null: it could not be read.
  void Note(const void* message) const {
    if (message != nullptr) {
      const auto& known = *static_cast<const google::protobuf::MessageLite*>(message);
      gate_.NoteMessage(context_, static_cast<int64_t>(known.ByteSizeLong()));
    }
  }

  const Gate& gate_;
  const grpc::ServerContextBase& context_;
};

}  // namespace

// gRPC owns what it gets. Its own services have other messages, which are small.
grpc::experimental::Interceptor* MessageCounter::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* call) {
  const bool counts = call->type() == grpc::experimental::ServerRpcInfo::Type::UNARY &&
                      absl::StartsWith(call->method(), "/wattle.v1.");
  return counts ? new Counted(*gate_, *call->server_context()) : nullptr;
}

}  // namespace wattle::rpc
