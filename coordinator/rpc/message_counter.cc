// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/message_counter.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message_lite.h"
#include "grpc/grpc.h"

namespace wattle::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;

// Waits for its bytes itself.
constexpr absl::string_view kTransfer = "/wattle.v1.ArtifactService/GetChunks";

class Counted final : public grpc::experimental::Interceptor {
 public:
  Counted(const Gate& gate, const grpc::ServerContextBase& context)
      : gate_(gate), context_(context) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      gate_.NoteMessage(context_, SizeOf(methods->GetRecvMessage()));
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      sent_ += SizeOf(methods->GetSendMessage());
      gate_.NoteMessage(context_, sent_);
      sent_ -= (sent_ - 1) / callers::kMessageBytesOfACall * callers::kMessageBytesOfACall;
    }
    methods->Proceed();
  }

 private:
  // message: of protobuf, as all of Wattle's services have them; null: it could not be read.
  static int64_t SizeOf(const void* message) {
    return message == nullptr
               ? 0
               : static_cast<int64_t>(
                     static_cast<const google::protobuf::MessageLite*>(message)->ByteSizeLong());
  }

  const Gate& gate_;
  const grpc::ServerContextBase& context_;
  int64_t sent_ = 0;  // By a stream all messages together, but for those that the caller paid for.
};

// gRPC's own handlers ask nobody whether their caller may open a stream and go on, so the call
// itself is ended from outside.
class ServiceStream final : public grpc::experimental::Interceptor {
 public:
  ServiceStream(const Gate& gate, grpc::ServerContextBase& context)
      : gate_(gate), context_(context) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    // Before the handler begins. The context has its call from then on.
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      Open();
    }
    methods->Proceed();
  }

 private:
  void Open() {
    // Whoever ends the stream may come just after the context is gone.
    grpc_call_ref(context_.c_call());
    const std::shared_ptr<grpc_call> call(context_.c_call(), &grpc_call_unref);
    absl::StatusOr<callers::CallLimits::Stream> stream = gate_.OpenStream(context_);
    if (!stream.ok()) {
      return End(*call, stream.status());
    }
    stream_.emplace(*std::move(stream));
    stream_->OnEnd([call](const absl::Status& why) { End(*call, why); });
  }
  static void End(grpc_call& call, const absl::Status& why) {
    (void)grpc_call_cancel_with_status(&call, static_cast<grpc_status_code>(why.code()),
                                       std::string(why.message()).c_str(), nullptr);
  }

  const Gate& gate_;
  grpc::ServerContextBase& context_;
  std::optional<callers::CallLimits::Stream> stream_;
};

}  // namespace

// gRPC owns what it gets. Its own services have other messages, which are small.
grpc::experimental::Interceptor* MessageCounter::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* call) {
  using Type = grpc::experimental::ServerRpcInfo::Type;
  const absl::string_view method = call->method();
  if (!absl::StartsWith(method, "/wattle.v1.") && call->type() != Type::UNARY) {
    return new ServiceStream(*gate_, *call->server_context());
  }
  const bool counts = absl::StartsWith(method, "/wattle.v1.") &&
                      (call->type() == Type::UNARY ||
                       (call->type() == Type::SERVER_STREAMING && method != kTransfer));
  return counts ? new Counted(*gate_, *call->server_context()) : nullptr;
}

}  // namespace wattle::rpc
