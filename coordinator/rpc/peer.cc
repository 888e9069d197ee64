// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/peer.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "base/host_port.h"

namespace wattle::rpc {

std::string PeerHost(const std::string& peer) {
  absl::string_view address = peer;
  if (!absl::ConsumePrefix(&address, "ipv4:") && !absl::ConsumePrefix(&address, "ipv6:")) {
    return "";
  }
  const std::string plain = absl::StrReplaceAll(address, {{"%5B", "["}, {"%5D", "]"}});
  const absl::StatusOr<HostPort> parsed = ParseHostPort("peer", plain);
  return parsed.ok() ? parsed->host : "";
}

std::string ScrapeAddress(const std::string& peer_host, const std::string& told) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort("metrics_address", told);
  if (peer_host.empty() || !parsed.ok() || parsed->port == 0) {
    return "";
  }
  const HostPort address = {peer_host, parsed->port};
  if (IsLoopback(*parsed)) {
    return IsLoopback(address) ? told : "";
  }
  return FormatHostPort(address);
}

}  // namespace wattle::rpc
