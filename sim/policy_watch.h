// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// PolicyWatch compares the promises of the guard (telemetry/battery/guard.h) with the true state of
// one device:
//   - Work uses no energy once the true state of charge is below the floor by more than the gauge's
//     stated error. The floor is the reserve plus the energy that the device needs to stay alive.
//     While the gauge is stuck, another 1.6 % of the capacity and 45 s of work may pass in each
//     process before the worker notices (docs/operate/sensors.md). Energy that leaves the battery
//     between two readings more than two minutes apart comes on top, because the worker cannot
//     count it.
//   - No work runs outside a policy's window.
//   - Work draws no more energy in a day than the day's budget.
// The promises are void while a sensor or a clock is wrong, and right after the worker starts or
// receives a policy. After such a disturbance they apply again once the step under way may have
// ended. Single-threaded.
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

// The moment of a check.
struct WatchMoment {
  double now_seconds = 0.0;         // time of the world
  double step_seconds = 0.0;        // about the length of the runner's step
  absl::Time civil{};               // the true time of day
  double time_error_seconds = 0.0;  // possible error of the worker's time
  bool clock_is_right = true;
};

class PolicyWatch {
 public:
  // Must be called when the coordinator has sent these policies to the worker. Returns whether they
  // differ from the previous ones.
  bool SetPolicies(const v1::DesiredSet& desired, double now_seconds);
  // Must be called when a process of the worker starts.
  void ProcessStarted(double now_seconds);
  // Must be called when the worker may have lost its count of the day's budget: its disk was lost,
  // damaged or full.
  void ForgetSpent() { spent_is_kept_ = false; }
  [[nodiscard]] const policy::Limits& limits() const { return limits_; }
  // Returns the breach in words; empty if there is none.
  std::string Check(const Board& board, const WatchMoment& moment);

 private:
  // Records when the gauge was silent, lied or was stuck, and what a stuck gauge hides.
  void WatchGauge(const Board& board, double now_seconds, double grace_seconds);
  [[nodiscard]] std::string CheckCharge(const Board& board, const WatchMoment& moment) const;
  [[nodiscard]] std::string CheckWindows(const WatchMoment& moment) const;
  [[nodiscard]] std::string CheckBudget(const Board& board, const WatchMoment& moment) const;
  void CountBudget(const Board& board, const WatchMoment& moment);

  policy::Limits limits_;
  std::string policies_;  // serialized
  double disturbed_seconds_ = 0.0;
  double clock_disturbed_seconds_ = 0.0;
  double stuck_seconds_ = -1e9;  // when the gauge was last seen stuck
  int stuck_starts_ = 0;         // starts of the process since the gauge is stuck
  double unseen_share_ =
      0.0;  // of the capacity: what left in long gaps between readings since then
  double checked_seconds_ = 0.0;  // the last reading
  double checked_share_ = 0.0;    // its true charge

  // State of the budget check.
  int64_t day_ = 0;
  Joules spent_;
  Joules counted_;     // the part of the board's work energy that is in spent_ or in earlier days
  int64_t stops_ = 0;  // starts of the process in this day
  bool spent_is_kept_ = true;
  int64_t distrusted_until_day_ =
      0;  // before it the worker may count another day than the true one
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_POLICY_WATCH_H_
