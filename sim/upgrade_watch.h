// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Invariants of the events of upgrades by stages: a bad release stops in its stage. Copied with a
// backup of the journal. Single-threaded.
#ifndef WATTLE_SIM_UPGRADE_WATCH_H_
#define WATTLE_SIM_UPGRADE_WATCH_H_

#include <cstdint>
#include <map>
#include <string>

#include "wattle/v1/journal.pb.h"

namespace wattle::sim {

class UpgradeWatch {
 public:
  // One durable event. Returns the breach as a sentence; "": none.
  std::string OnEvent(const v1::Event& event);

  [[nodiscard]] int64_t ended() const { return ended_; }
  [[nodiscard]] int64_t rolled_back() const { return rolled_back_; }

 private:
  std::string OnDevice(const v1::DeviceUpgrade& device);

  v1::Upgrade open_;                                  // the latest
  std::map<std::string, v1::DeviceUpgrade> devices_;  // of open_
  int64_t ended_ = 0;                                 // upgrades that all devices finished
  int64_t rolled_back_ = 0;                           // devices
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_UPGRADE_WATCH_H_
