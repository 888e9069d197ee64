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
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // Show the certificate; judge nobody.
};

// Enrols `count` boards by one token of as many uses, 16 at a time, and waits where the coordinator
// limits the calls of one address. The coordinator is believed without a check: a real board pays
// for that check with its own processor, and this machine's is the coordinator's too.
absl::StatusOr<std::vector<EnrolledBoard>> EnrollBoards(const std::string& token, int count);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_ENROLLED_BOARDS_H_
