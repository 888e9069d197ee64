// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards with certificates of their own, for load generators: keys and certificates stay in memory.
#ifndef WATTLE_BENCH_ENROLLED_BOARDS_H_
#define WATTLE_BENCH_ENROLLED_BOARDS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"

namespace wattle::bench {

struct EnrolledBoard {
  std::string id;
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // present the certificate; verify no peer
};

// Enrols `count` boards with one token for as many uses, 16 at a time, and waits if the coordinator
// limits the calls of one address. The coordinator is not verified: a real board spends its own
// processor on that, but here the processor is also the coordinator's.
absl::StatusOr<std::vector<EnrolledBoard>> EnrollBoards(const std::string& token, int count);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_ENROLLED_BOARDS_H_
