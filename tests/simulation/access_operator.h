// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards that lose their right to work, and an operator who restores it a while later: revoked
// boards, copied cards, and boards that enrol again and wait for approval. Single-threaded.
#ifndef WATTLE_TESTS_SIMULATION_ACCESS_OPERATOR_H_
#define WATTLE_TESTS_SIMULATION_ACCESS_OPERATOR_H_

#include <cstdint>
#include <set>
#include <string>

#include "sim/certificates.h"
#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/network.h"
#include "sim/worker.h"
#include "units/id.h"
#include "wattle/v1/access.pb.h"

namespace wattle::sim {

class LettingIn {
 public:
  struct Parts {
    EventLoop& loop;
    Network& network;
    Coordinator& coordinator;
    Certificates& certificates;
  };
  explicit LettingIn(const Parts& parts) : parts_(parts) {}

  // Each returns false if the coordinator does not run or lacks the board.
  bool Revoke(Worker& worker);
  bool EnrolToWait(const Worker& worker);
  bool Double(const Worker& worker);
  // Repeats until the board may work: by a new key if it was revoked, else by an approval.
  void LetIn(const DeviceId& device);
  // The coordinator was restored from an old backup, which may lack recent admissions.
  void AskAgain();

 private:
  [[nodiscard]] bool IsKnown(const DeviceId& device) const;

  Parts parts_;
  std::set<DeviceId> let_in_;
  std::set<DeviceId> revoking_;  // the coordinator has not answered yet
};

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_ACCESS_OPERATOR_H_
