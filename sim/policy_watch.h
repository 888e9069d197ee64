// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The promises of the guard (telemetry/battery/guard.h), against the truth of one device:
//   - no joule is spent on work once the true state of charge is below the reserve, and what the
//     device needs to stay alive, by more than the gauge's stated error;
//   - no work runs outside a policy's window;
//   - work draws no more in a day than the day's budget.
// A sensor or a clock that lies cannot be held to them; nor can a worker in the moment in which it
// learns of a policy. After such a disturbance the promises hold again once the step under way may
// have ended. Single-threaded.
#ifndef WATTLE_SIM_POLICY_WATCH_H_
#define WATTLE_SIM_POLICY_WATCH_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

#include "policy/limits.h"
#include "sim/board.h"
#include "units/quantity.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::sim {

// When the watch looks.
struct WatchMoment {
  double now_seconds = 0.0;   // of the world
  double step_seconds = 0.0;  // of the runner, about
  absl::Time civil{};         // the true time of day
  bool clock_is_right = true;
};

class PolicyWatch {
 public:
  // The coordinator has sent these policies to the worker.
  void SetPolicies(const v1::DesiredSet& desired, double now_seconds);
  // The process of the worker begins.
  void ProcessStarted(double now_seconds);
  // What the worker counted of the day's budget may be gone: its disk was lost, damaged or full.
  void ForgetSpent() { spent_is_kept_ = false; }
  // Returns the breach in words; empty: none.
  std::string Check(const Board& board, const WatchMoment& moment);

 private:
  std::string CheckCharge(const Board& board, const WatchMoment& moment) const;
  std::string CheckWindows(const WatchMoment& moment) const;
  std::string CheckBudget(const Board& board) const;
  void CountBudget(const Board& board, const WatchMoment& moment);

  policy::Limits limits_;
  std::string policies_;  // serialized
  double disturbed_seconds_ = 0.0;
  double clock_disturbed_seconds_ = 0.0;

  // Of the budget.
  int64_t day_ = 0;
  Joules spent_;
  Joules counted_;     // of the board's work
  int64_t stops_ = 0;  // of the process in this day
  bool spent_is_kept_ = true;
  int64_t distrusted_until_day_ = 0;  // the worker's day was another one than the true day
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_POLICY_WATCH_H_
