// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's gRPC channels. Only this file knows channel arguments.
#ifndef WATTLE_WORKER_AGENT_LINK_CHANNEL_H_
#define WATTLE_WORKER_AGENT_LINK_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

namespace wattle::agent {

enum class ChannelUse {
  kLink,      // a long-lived stream: keepalive, fast reconnect
  kTransfer,  // artifacts: a separate connection, so that a large file never delays a heartbeat
  kPeer,      // artifacts from a board of the site, which is near or not there
};

// How long a try to connect may take: TCP, TLS where there is one, and HTTP/2's settings. Over a
// satellite or a loaded LTE link that is several seconds.
inline constexpr absl::Duration kConnectLimit = absl::Seconds(20);
inline constexpr absl::Duration kPeerConnectLimit = absl::Seconds(5);

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    ChannelUse use);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_CHANNEL_H_
