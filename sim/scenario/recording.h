// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The record of one run of a scenario for drawings: the attempts on each board, the charge of its
// pack and the sun over time, the joules of each phase, and the jobs that were late or failed.
// recorder.h makes it. Plain values.
#ifndef WATTLE_SIM_SCENARIO_RECORDING_H_
#define WATTLE_SIM_SCENARIO_RECORDING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/scenario/scenario.h"
#include "units/quantity.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/job.pb.h"

namespace wattle::sim {

// Times are seconds of the scenario: 0 is its hour 0.
struct AttemptRecord {
  std::string job;             // its name
  std::string group;           // the entry of jobs that it belongs to
  double begin_seconds = 0.0;  // the board took it
  double end_seconds = 0.0;    // the scenario's end if it still runs
  v1::AttemptState state = v1::ATTEMPT_STATE_UNSPECIFIED;
  std::string reason;              // of the state
  std::optional<Joules> energy{};  // gross, by its receipt; absent: no receipt yet
};

// The pack of a board at one moment; equal on all boards of a shared pack.
struct PackSample {
  double at_seconds = 0.0;
  Fraction charge{};  // in truth, not by the gauge
  Watts sun{};        // power of the panel
  // The planner's expectation for this hour of the day; absent: this hour was never observed.
  std::optional<Watts> expected_sun{};
  // The pushed forecast for this hour; absent: there is none.
  std::optional<Watts> told_sun{};
};

struct BoardRecord {
  std::string name;
  std::string group;  // of the fleet
  std::string device_class;
  std::string shared_pack;              // its name; "": none
  Fraction reserve{};                   // 0: none
  std::vector<TimeOff> times_off;       // without power
  std::vector<AttemptRecord> attempts;  // by begin
  std::vector<PackSample> pack;         // empty: the board is on mains
};

struct PhaseRecord {
  v1::AttemptPhase phase = v1::ATTEMPT_PHASE_UNSPECIFIED;
  double seconds = 0.0;
  Joules energy{};
};

// Joules that all boards have drawn since their start, by the ledgers that they last reported.
struct EnergyRecord {
  Joules idle{};
  Joules overhead{};
  Joules attempts{};
  std::vector<PhaseRecord> phases;  // of `attempts`, by the receipts so far
};

// A job that counts as missed or failed.
struct LostJob {
  std::string job;      // its name
  bool missed = false;  // its deadline; else it counts as failed
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  std::string reason;         // of the state
  double late_seconds = 0.0;  // from its deadline to its end, or to the scenario's; 0: not late
};

// A hash of all durable events until a moment: submits, reports and decisions.
struct EventsUntil {
  double at_seconds = 0.0;
  uint64_t hash = 0;
};

struct Recording {
  uint64_t seed = 0;
  std::vector<EventsUntil> events;  // at each sample
  std::vector<BoardRecord> boards;  // in the fleet's order
  EnergyRecord energy;
  std::vector<LostJob> lost_jobs;  // in the order of their submission
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_RECORDING_H_
