// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// TimeLimits checks by the world's true time that the coordinator acted in time:
//   - A job that does not run fails at its deadline, neither earlier nor later.
//   - An ended job moves to the history once its retention is over.
//   - A paused attempt leaves its device when the pause is longer than a policy allows and another
//     device is free.
// A restarted coordinator counts such times again from its start, so each limit counts from the
// start of the present process at the earliest. Single-threaded.
#ifndef WATTLE_SIM_TIME_LIMITS_H_
#define WATTLE_SIM_TIME_LIMITS_H_

#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "coordinator/core/state.h"
#include "sim/invariants.h"
#include "sim/options.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::sim {

class TimeLimits {
 public:
  TimeLimits(const Options& options, Invariants& invariants)
      : options_(options), invariants_(invariants) {}

  // Must be called when the coordinator's process starts.
  void OnStart(double now_seconds);
  // Must be called when the process resumes after a standstill. Limits that passed meanwhile count
  // from now.
  void OnStandstill(double began_seconds, double now_seconds);
  // Must be called when the coordinator's wall clock steps. Retention is not checked from then on,
  // because ended jobs are in the order of the wall clock.
  void OnClockStep() { clock_stepped_ = true; }
  void OnEvent(const v1::Event& event, double now_seconds);
  // Must be called at each tick while the coordinator runs. The cost grows with the number of due
  // checks and, while an attempt is paused, with the number of devices; not with the number of
  // jobs.
  void Check(const core::State& state, const core::Observations& observations, double now_seconds);

 private:
  // The earliest possible time of the decision whose event becomes durable now.
  [[nodiscard]] double DecidedAtEarliest(double now_seconds) const;
  void OnJob(const v1::JobStateChanged& changed, double now_seconds);
  void CheckDeadlines(const core::State& state, double now_seconds);
  void CheckRetention(const core::State& state, double now_seconds);
  void CheckPauses(const core::State& state, const core::Observations& observations,
                   double now_seconds);
  void FindFreeDevices(const core::State& state, const core::Observations& observations,
                       double now_seconds);
  // Whether another device is free for the job, and no busy device could be worth a wait.
  [[nodiscard]] bool HasElsewhere(const core::State& state, const v1::Job& job,
                                  const std::string& device_id, double now_seconds) const;
  // Enough for two ticks, each with a commit.
  [[nodiscard]] double TickGrace() const { return 3.0 * options_.tick_seconds + 2.0; }
  [[nodiscard]] double PlanGrace() const {
    return TickGrace() + 4.0 * (options_.plan_seconds + 3.0) + 3.0 * options_.heartbeat_seconds;
  }

  const Options& options_;
  Invariants& invariants_;
  double started_seconds_ = 0.0;
  double listens_seconds_ = 0.0;     // the start, or the end of the last standstill
  double standstill_seconds_ = 0.0;  // the start, or the beginning of the last standstill
  bool clock_stepped_ = false;
  struct Submitted {
    double at_seconds = 0.0;       // when the submit became durable
    double decided_seconds = 0.0;  // the earliest time of the decision
    double deadline_seconds = 0.0;
  };
  std::unordered_map<std::string, Submitted> submitted_;   // by job
  std::set<std::pair<double, std::string>> deadlines_;     // when to look at the job
  std::deque<std::pair<double, std::string>> ended_;       // when the job ended, oldest first
  std::unordered_map<std::string, double> last_ended_;     // by job
  std::map<std::string, double> paused_;                   // since when, by attempt
  std::unordered_map<std::string, double> attempt_ended_;  // when, by attempt
  double policies_seconds_ = 0.0;                          // time of the latest change of a policy
  std::map<std::string, double> free_;                     // since when, by device
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_TIME_LIMITS_H_
