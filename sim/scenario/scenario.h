// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A scenario as data: a fleet, its sun, its links and its work, for the simulation to run (run.h).
// scenario_file.h reads one. Hour 0 begins at 00:00 UTC. Plain values.
#ifndef WATTLE_SIM_SCENARIO_SCENARIO_H_
#define WATTLE_SIM_SCENARIO_SCENARIO_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/board.h"
#include "sim/scenario/board_class.h"
#include "units/quantity.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/scenario.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::sim {

inline constexpr size_t kHoursOfDay = 24;
inline constexpr double kSecondsOfHour = 3600.0;
inline constexpr double kSecondsOfDay = 24.0 * kSecondsOfHour;

// Equal boards.
struct BoardGroup {
  std::string name;
  BoardClass board_class;
  int count = 1;
  std::vector<std::string> board_names{};  // of each board; empty: the group's name and a number
  std::string power_mode{};                // present mode of the boards; empty: they have only one
  std::optional<Joules> pack;              // absent: mains
  Fraction charge{1.0};                    // when the simulation begins
  Fraction gauge_error{0.02};
  Watts panel{};                 // at 1000 W/m2
  std::optional<TrueHeat> heat;  // absent: the simulation's own, which limits no work
  double link_bytes_per_second = 1.25e6;
  // Replaces it by hourly rates from the scenario's hour 0 on, in a cycle. A board does not report
  // such a rate: its worker measures it. Empty: the rate never changes.
  std::vector<double> link_by_hour{};
  std::vector<v1::Label> labels;
  std::optional<v1::Policy> policy;  // of only these boards

  [[nodiscard]] std::string BoardName(int number) const {
    return board_names.empty() ? name + "-" + std::to_string(number)
                               : board_names[static_cast<size_t>(number) - 1];
  }
};

struct Arrival {
  double at_seconds = 0.0;
  double deadline_seconds = 0.0;  // from submission; 0: the spec's
};

// Jobs with one spec.
struct JobGroup {
  v1::JobSpec spec;   // its name is the group's
  std::string place;  // "mast.yaml:12: job tune: ", before the coordinator's reason to refuse it
  std::vector<Arrival> arrivals;
  // Drawn arrivals instead: this many a day on average, from `begin` to `end`.
  double per_day = 0.0;
  double begin_seconds = 0.0;
  double end_seconds = 0.0;
};

// The boards of a group have no link in this time.
struct LinkCut {
  std::string group;
  double begin_seconds = 0.0;
  double end_seconds = 0.0;
};

// When the boards of a group have a fault: once, or at times drawn for each board.
struct FaultTimes {
  std::string group;
  double begin_seconds = 0.0;
  double end_seconds = 0.0;
  double per_day = 0.0;         // between begin and end, on average; 0: all that time
  double length_seconds = 0.0;  // of a drawn one
};

// Faults other than those of links and power.
struct ScenarioFault {
  v1::ScenarioFaultKind kind = v1::SCENARIO_FAULT_KIND_UNSPECIFIED;
  FaultTimes times;
};

// A period in which one board is without power, or has a fault.
struct TimeOff {
  double begin_seconds = 0.0;
  double end_seconds = 0.0;
};

struct Scenario {
  std::string name;
  double duration_seconds = 0.0;
  std::vector<BoardGroup> fleet;
  std::vector<v1::Policy> fleet_policies;  // for the boards that they select
  // Measured rows of board classes before the simulation begins, in addition to the published
  // tables. True rates are drawn around them too. May be empty.
  v1::ProfileExport profiles;
  std::vector<v1::ArtifactInfo> artifacts;  // models and data sets
  std::vector<JobGroup> jobs;
  std::vector<LinkCut> cuts;
  std::vector<FaultTimes> power_cuts;
  std::vector<ScenarioFault> faults;
  // By hour: watts of a panel for each watt that it gives at 1000 W/m2.
  std::vector<double> sun;
  // A sentence for people if the clock of the sun's file was derived or assumed; else empty.
  std::string sun_clock;
  // Error of a forecast that is pushed each midnight: deviation of its days from the true sun, as
  // the standard deviation of a logarithm. Absent: no forecast is pushed.
  std::optional<double> forecast_error{};
  // Spreads: the standard deviation of a logarithm. 0: nothing is drawn.
  double sun_spread = 0.0;      // of a day's sun, the same for all boards
  double seconds_spread = 0.0;  // of a board's true seconds about the prediction's
  double watts_spread = 0.0;    // and of its watts
  double runs_spread = 0.0;     // of one run's seconds about the board's
  // Changes of a board's seconds, as factors; 1: none.
  double step = 1.0;                  // from a drawn time on
  double drift = 1.0;                 // until the end, at most, up or down
  double throttle = 1.0;              // while the board is hot, in the afternoon
  double software = 1.0;              // from an update on, which all boards get at a drawn time
  std::vector<std::string> policies;  // planners.h
  int seeds = 10;
  uint64_t first_seed = 1;

  [[nodiscard]] int boards() const {
    int count = 0;
    for (const BoardGroup& group : fleet) {
      count += group.count;
    }
    return count;
  }
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SCENARIO_H_
