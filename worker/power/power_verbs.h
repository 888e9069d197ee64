// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The complete list of requests that wattle-powerd serves. No request names a path or a value: the
// modes come from the board's own files, which belong to root.
#ifndef WATTLE_WORKER_POWER_POWER_VERBS_H_
#define WATTLE_WORKER_POWER_POWER_VERBS_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "base/line_socket.h"
#include "worker/power/board_power.h"
#include "worker/power/power_modes.h"

namespace wattle::agent {

inline constexpr char kVerbsVerb[] = "verbs";         // the verbs that are allowed here
inline constexpr char kSetVerb[] = "set";             // set MODE
inline constexpr char kRestoreVerb[] = "restore";     // restores the state before the first `set`
inline constexpr char kForgetVerb[] = "forget";       // keeps the present settings
inline constexpr char kPowerOffVerb[] = "power-off";  // only with --allow-power-off

class PowerVerbs {
 public:
  // power_off: shuts the board down; empty: not allowed.
  PowerVerbs(std::vector<PowerModeRow> modes, BoardPower* power,
             std::function<absl::Status()> power_off)
      : modes_(std::move(modes)), power_(*power), power_off_(std::move(power_off)) {}

  // exit_code 0: done; 1: the board refused; 2: no such verb or mode. The text is one line.
  LineAnswer Answer(const std::string& request);

 private:
  [[nodiscard]] LineAnswer SetMode(const std::string& name);

  const std::vector<PowerModeRow> modes_;
  BoardPower& power_;
  const std::function<absl::Status()> power_off_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_POWER_POWER_VERBS_H_
