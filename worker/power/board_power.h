// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sets the power mode of this board, which requires root: a worker that runs as root does so itself
// (PowerSettings), any other worker through wattle-powerd (PowerdClient). One thread owns an
// object.
#ifndef WATTLE_WORKER_POWER_BOARD_POWER_H_
#define WATTLE_WORKER_POWER_BOARD_POWER_H_

#include "absl/status/status.h"

#include "worker/power/power_modes.h"

namespace wattle::agent {

class BoardPower {
 public:
  virtual ~BoardPower() = default;

  // Sets one of the board's modes. After an error the board is restored as far as possible.
  virtual absl::Status Set(const PowerModeRow& mode) = 0;
  // Restores the board's state before the first Set in this boot, also if an earlier process made
  // it.
  virtual absl::Status Restore() = 0;
  // Keeps the present settings, because another program has set them since.
  virtual absl::Status Forget() = 0;

  // Whether PowerOff may work here.
  [[nodiscard]] virtual bool may_power_off() const { return false; }
  // Shuts the board down. OK: the shutdown has begun.
  virtual absl::Status PowerOff() {
    return absl::UnimplementedError(
        "only wattle-powerd --allow-power-off switches a board off; start it");
  }
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_POWER_BOARD_POWER_H_
