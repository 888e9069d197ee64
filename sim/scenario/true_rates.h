// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The true cost of a scenario's jobs. A board's seconds and watts for a workload are those that the
// published tables, datasheets and the scenario's own rows predict, times a factor that is drawn
// once for the board and the workload. The factors depend only on the seed, so every policy gets
// the same boards. The coordinator has the tables and rows and learns the rest. Pure.
#ifndef WATTLE_SIM_SCENARIO_TRUE_RATES_H_
#define WATTLE_SIM_SCENARIO_TRUE_RATES_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"
#include "sim/machine.h"
#include "sim/random.h"
#include "sim/scenario/scenario.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::sim {

// Import name of the scenario's rows.
inline constexpr char kProfilesName[] = "the scenario";

// One draw of the normal distribution with mean 0 and deviation 1.
double DrawNormal(Random& random);

class TrueRates {
 public:
  // scenario: must outlive this object.
  TrueRates(const Scenario& scenario, uint64_t seed);

  // The job's cost on a board. board: its number in the fleet. idle: its draw without work. Errors:
  // kInvalidArgument if the spec and its inputs give no amount of work.
  [[nodiscard]] absl::StatusOr<Workload> WorkloadOf(const v1::JobSpec& spec, int board,
                                                    const v1::DeviceInfo& info, Watts idle) const;

  // The factor of one run's seconds on the board. The job's name distinguishes the runs.
  [[nodiscard]] double OfRun(const v1::JobSpec& spec, int board) const;

 private:
  const Scenario& scenario_;
  uint64_t seed_;
  scheduler::ProfileTable known_;
};

// The artifacts that the job's section names. Errors: kInvalidArgument for a name that the scenario
// lacks.
absl::StatusOr<std::vector<scheduler::InputView>> InputsOf(const Scenario& scenario,
                                                           const v1::JobSpec& spec);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_TRUE_RATES_H_
