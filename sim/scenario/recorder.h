// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Records a run of a scenario (recording.h). The recorder only observes the run: a seed gives the
// same figures with and without it. Single-threaded.
#ifndef WATTLE_SIM_SCENARIO_RECORDER_H_
#define WATTLE_SIM_SCENARIO_RECORDER_H_

#include <cstddef>
#include <map>
#include <string>

#include "sim/fleet.h"
#include "sim/scenario/recording.h"
#include "sim/scenario/scenario.h"
#include "wattle/v1/job.pb.h"

namespace wattle::sim {

// The figures' view of a job.
struct JobOutcome {
  bool done = false;
  bool missed = false;  // its deadline: it ended later, failed, or is still open after it
  bool failed = false;  // without a deadline
  bool open = false;    // when the scenario ends; missed too if its deadline has passed
  double ended_unix_seconds = 0.0;  // the scenario's end if the job is still open
  double late_seconds = 0.0;        // see LostJob
};
JobOutcome OutcomeOf(const v1::Job& job, double scenario_end_unix_seconds);

// The time between samples: a quarter of an hour, or longer for a scenario so long that a board
// would have more than kSamplesMax of them.
double SampleSeconds(double duration_seconds);
inline constexpr int kSamplesMax = 3000;

class Recorder {
 public:
  // begin_seconds: the simulation's time at the scenario's hour 0.
  Recorder(const Scenario& scenario, uint64_t seed, Fleet& fleet, double begin_seconds);

  [[nodiscard]] double step_seconds() const { return step_seconds_; }
  // Takes the packs' samples at this time of the simulation, which every board has reached or can
  // be extrapolated to.
  void Sample(double at_seconds);
  // groups: the entry of jobs by a job's name. at_seconds: the simulation's time at the end of the
  // scenario.
  [[nodiscard]] Recording Finish(const std::map<std::string, std::string>& groups,
                                 double at_seconds) &&;

 private:
  void AddEnergy();
  void AddJob(const v1::Job& job, const std::string& group, double end_unix_seconds);

  Fleet& fleet_;
  const double begin_seconds_;
  const double step_seconds_;
  std::map<std::string, size_t> board_of_device_;  // by the device's id
  Recording recording_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_RECORDER_H_
