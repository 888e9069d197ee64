// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// gRPC status ↔ absl::Status: the only conversion, for every program. The canonical codes have the
// same numbers in both.
#ifndef WATTLE_ARTIFACTS_TRANSFER_GRPC_STATUS_H_
#define WATTLE_ARTIFACTS_TRANSFER_GRPC_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

#include "base/utf8.h"

namespace wattle {

inline absl::Status FromGrpc(const grpc::Status& status) {
  return status.ok() ? absl::OkStatus()
                     : absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                                    status.error_message());
}

// Reduces the message to one line, because a refusal may repeat the caller's words.
inline grpc::Status ToGrpc(const absl::Status& status) {
  return status.ok() ? grpc::Status::OK
                     : grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                                    OneLine(status.message()));
}

// Whether gRPC's message describes a peer that answers but does not speak gRPC, usually an HTTP
// server.
bool PeerSpeaksNoGrpc(absl::string_view message);

// gRPC's message about a connection that was not made or was lost, in plain words: "connection
// refused". Other messages are returned unchanged.
std::string ConnectionTrouble(absl::string_view message);

}  // namespace wattle

#endif  // WATTLE_ARTIFACTS_TRANSFER_GRPC_STATUS_H_
