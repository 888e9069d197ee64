// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tells the gate how large the request and the answer of each unary call are, and what a stream to
// the caller brings. A worker's stream is not counted, and transfers of artifacts wait for their
// bytes themselves. Streams of gRPC's own services, health and reflection, it counts as open
// streams, and ends those that are too many or whose caller is revoked. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_MESSAGE_COUNTER_H_
#define WATTLE_COORDINATOR_RPC_MESSAGE_COUNTER_H_

#include <memory>
#include <utility>

#include <grpcpp/support/server_interceptor.h>

#include "coordinator/rpc/gate.h"

namespace wattle::rpc {

class MessageCounter final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit MessageCounter(std::shared_ptr<const Gate> gate) : gate_(std::move(gate)) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* call) override;

 private:
  const std::shared_ptr<const Gate> gate_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_MESSAGE_COUNTER_H_
