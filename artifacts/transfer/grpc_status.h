// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// gRPC status ↔ absl::Status: the one place, for every program. The canonical codes have the same
// numbers in both.
#ifndef WATTLE_ARTIFACTS_TRANSFER_GRPC_STATUS_H_
#define WATTLE_ARTIFACTS_TRANSFER_GRPC_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace wattle {

inline absl::Status FromGrpc(const grpc::Status& status) {
  return status.ok() ? absl::OkStatus()
                     : absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                                    status.error_message());
}

inline grpc::Status ToGrpc(const absl::Status& status) {
  return status.ok() ? grpc::Status::OK
                     : grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                                    std::string(status.message()));
}

}  // namespace wattle

#endif  // WATTLE_ARTIFACTS_TRANSFER_GRPC_STATUS_H_
