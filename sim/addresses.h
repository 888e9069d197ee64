// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The address of the simulated coordinator, and what answers at its former addresses: for a while a
// coordinator of another fleet, then one that redirects. Single-threaded.
#ifndef WATTLE_SIM_ADDRESSES_H_
#define WATTLE_SIM_ADDRESSES_H_

#include <map>
#include <string>

#include "wattle/v1/fleet.pb.h"

namespace wattle::sim {

class Addresses {
 public:
  // The coordinator's first address, to which boards connect that know no other.
  static constexpr const char* kFirst = "farm-0:7410";

  [[nodiscard]] const std::string& coordinator() const { return coordinator_; }
  // Moves the coordinator to another address, and puts a stranger at the former one for a while.
  void Move(double stranger_until_seconds);
  // Whether a stranger answers there.
  [[nodiscard]] bool IsStranger(const std::string& address, double now_seconds) const;
  // The answer to a hello at a former address of the coordinator.
  [[nodiscard]] v1::CoordinatorMessage Answer(bool by_stranger) const;

 private:
  int moves_ = 0;
  std::string coordinator_ = kFirst;
  std::map<std::string, double> strangers_until_seconds_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_ADDRESSES_H_
