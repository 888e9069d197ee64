// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The policy `bound`: what no policy can exceed in a run of a scenario. A linear program that knows
// all arrivals, the true sun and the true rates of the boards shares out their time and charge. It
// may split jobs at will and knows no start, fetch, upload or margin. Pure.
#ifndef WATTLE_SIM_SCENARIO_BOUND_H_
#define WATTLE_SIM_SCENARIO_BOUND_H_

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "scheduler/solve/solver.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario.h"

namespace wattle::sim {

inline constexpr char kBoundPolicy[] = "bound";
// A figure of which the bound says nothing: no number.
inline constexpr double kNotTold = std::numeric_limits<double>::quiet_NaN();

// Whether this build has a solver. Errors: kFailedPrecondition.
absl::Status CheckBound(const solve::Solver* solver = solve::BuiltInSolver());

// The most jobs that can end in time (kDone), and the fewest missed deadlines (kMissed), each for
// itself; the other figures are kNotTold. REQUIRES: CheckScenario took the scenario. Errors:
// kFailedPrecondition without a solver or an optimum; kInvalidArgument where the scenario is too
// large.
absl::StatusOr<RunFigures> BoundOf(const Scenario& scenario, uint64_t seed,
                                   const solve::Solver* solver = solve::BuiltInSolver());

// How many jobs waited more than three times as long as the bound takes, from the submission on, to
// end the job and all that came before with its priority or a higher one. waits_hours: from the
// submission to the start, of each job in the order of SubmissionsOf. The bound counts in whole
// slots, of an hour or, in a long scenario, of several; so a wait of three slots does not count.
// Errors: as BoundOf.
absl::StatusOr<int> StarvedJobs(const Scenario& scenario, uint64_t seed,
                                absl::Span<const double> waits_hours,
                                const solve::Solver* solver = solve::BuiltInSolver());

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_BOUND_H_
