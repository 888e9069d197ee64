// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where the simulated coordinator is, and what answers at the addresses that it left: for a while a
// coordinator of another fleet, then one that says where it went. Single-threaded.
#ifndef WATTLE_SIM_ADDRESSES_H_
#define WATTLE_SIM_ADDRESSES_H_

#include <map>
#include <string>

#include "wattle/v1/fleet.pb.h"

namespace wattle::sim {

class Addresses {
 public:
  // Where the coordinator begins, and boards look that know no better.
  static constexpr const char* kFirst = "farm-0:7410";

  [[nodiscard]] const std::string& coordinator() const { return coordinator_; }
  // The coordinator is somewhere else from now on, and a stranger at the address that it left.
  void Move(double stranger_until_seconds);
  // Whether a stranger answers there.
  [[nodiscard]] bool IsStranger(const std::string& address, double now_seconds) const;
  // What answers to a hello at an address that the coordinator left.
  [[nodiscard]] v1::CoordinatorMessage Answer(bool by_stranger) const;

 private:
  int moves_ = 0;
  std::string coordinator_ = kFirst;
  std::map<std::string, double> strangers_until_seconds_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_ADDRESSES_H_
