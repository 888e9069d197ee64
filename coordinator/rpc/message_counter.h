// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tells the gate how large the request and the answer of each unary call are. Transfers of
// artifacts, which are streams, wait for their bytes themselves. Thread-safe.
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
