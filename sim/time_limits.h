// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a coordinator must have done by now, by the world's true time:
//   - a job that is past its deadline and does not run has failed, and none fails before;
//   - an ended job has left the state for the history once its retention is over;
//   - an attempt that is paused for longer than a policy bears has left its device, where another
//     device stands free.
// A process counts such times from its start at the latest, so each limit holds for what one
// process has seen. Single-threaded.
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

  // The coordinator's process begins.
  void OnStart(double now_seconds);
  // Its wall clock steps: ended jobs are ordered by what the wall clock said.
  void OnClockStep() { clock_stepped_ = true; }
  void OnEvent(const v1::Event& event, double now_seconds);
  // At a tick of a living coordinator. Costs what is due, not what is there.
  void Check(const core::State& state, const core::Observations& observations, double now_seconds);

 private:
  void OnJob(const v1::JobStateChanged& changed, double now_seconds);
  void CheckDeadlines(const core::State& state, double now_seconds);
  void CheckRetention(const core::State& state, double now_seconds);
  void CheckPauses(const core::State& state, const core::Observations& observations,
                   double now_seconds);
  void FindFreeDevices(const core::State& state, const core::Observations& observations,
                       double now_seconds);
  // Whether another device stands free for the job, and every device that could be waited for too.
  [[nodiscard]] bool HasElsewhere(const core::State& state, const v1::Job& job,
                                  const std::string& device_id, double now_seconds) const;
  // Two looks at the clock, and a commit after each.
  [[nodiscard]] double TickGrace() const { return 3.0 * options_.tick_seconds + 2.0; }
  [[nodiscard]] double PlanGrace() const {
    return TickGrace() + 4.0 * (options_.plan_seconds + 3.0) + 3.0 * options_.heartbeat_seconds;
  }

  const Options& options_;
  Invariants& invariants_;
  double started_seconds_ = 0.0;
  bool clock_stepped_ = false;
  struct Submitted {
    double at_seconds = 0.0;
    double deadline_seconds = 0.0;
  };
  std::unordered_map<std::string, Submitted> submitted_;  // by job
  std::set<std::pair<double, std::string>> deadlines_;    // when to look at the job
  std::deque<std::pair<double, std::string>> ended_;      // when the job ended, oldest first
  std::map<std::string, double> paused_;                  // since when, by attempt
  double policies_seconds_ = 0.0;                         // of the latest change of a policy
  std::map<std::string, double> free_;                    // since when, by device
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_TIME_LIMITS_H_
