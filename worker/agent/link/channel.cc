// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/link/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

namespace wattle::agent {
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    ChannelUse use) {
  grpc::ChannelArguments arguments;
  // A lost link is found by what is sent: the timeout below also bounds how long a heartbeat may
  // stay without TCP's acknowledgement. A ping of an idle link finds a peer that hangs, and costs a
  // metered link about 300 bytes, 1.3 MB a day if it went each 20 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, use == ChannelUse::kLink ? 120'000 : 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, use == ChannelUse::kLink ? 1 : 0);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  // gRPC's name of the limit of a try.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(
                       use == ChannelUse::kPeer ? kPeerConnectLimit : kConnectLimit)));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // uses share no connection
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(16 << 20);
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

}  // namespace wattle::agent
