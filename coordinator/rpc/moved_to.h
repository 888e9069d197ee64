// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Before a coordinator sends its workers on: whether the one at that address goes on for it.
// Workers accept only their own journal, at an epoch that is not older. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_MOVED_TO_H_
#define WATTLE_COORDINATOR_RPC_MOVED_TO_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "coordinator/authority/authority.h"

namespace wattle::rpc {

// In the trailing metadata of AccessService.WhoAmI, which every member of the fleet may call: the
// journal that the coordinator writes.
inline constexpr char kLineageMetadata[] = "wattle-lineage";
inline constexpr char kEpochMetadata[] = "wattle-epoch";

struct MovedTo {
  std::string address = {};  // HOST:PORT
  // The journal here.
  std::string lineage_id = {};
  int64_t epoch = 0;
};

// Equals the time for which a worker tries to connect.
inline constexpr absl::Duration kMovedToPatience = absl::Seconds(20);

// Asks with a certificate of its own, as a device that no journal knows. authority: null with
// plaintext. folder: for the key of that certificate; it is made, and removed.
// Errors: kInvalidArgument: no worker would stay there; kUnavailable: nobody there told.
absl::Status CheckMovedTo(const MovedTo& to, const authority::Authority* authority,
                          const std::string& folder, absl::Duration patience = kMovedToPatience);

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_MOVED_TO_H_
