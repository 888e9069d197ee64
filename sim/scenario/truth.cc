// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The truth of a run of a scenario, which does not depend on the policy.
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

#include "base/check.h"
#include "sim/board.h"
#include "sim/machine.h"
#include "sim/scenario/drawn_boards.h"
#include "sim/scenario/run.h"
#include "sim/scenario/true_rates.h"

namespace wattle::sim {

std::vector<GroupTruth> TruthOf(const Scenario& scenario, uint64_t seed) {
  const TrueRates rates(scenario, seed);
  std::vector<GroupTruth> truth;
  int number_in_fleet = 0;
  for (const BoardGroup& group : scenario.fleet) {
    const BoardSettings board = BoardOf(scenario, group, seed);
    GroupTruth& told = truth.emplace_back();
    told.group = group.name;
    told.pack = board.battery;
    told.shared_pack = SharedPackOf(scenario, group);
    told.charge = board.charge;
    told.reserve = board.reserve;
    told.idle = board.idle;
    told.sun = board.sun_watts == nullptr ? std::vector<double>() : *board.sun_watts;
    for (int number = 1; number <= group.count; ++number, ++number_in_fleet) {
      BoardTruth& one = told.boards.emplace_back();
      one.board = group.BoardName(number);
      for (const JobGroup& jobs : scenario.jobs) {
        const absl::StatusOr<Workload> workload =
            rates.WorkloadOf(jobs.spec, number_in_fleet, InfoOf(group, number), board.idle);
        WATTLE_CHECK(workload.ok(), "CheckScenario looked at every job");
        one.jobs.push_back(
            {.job = jobs.spec.name(),
             .seconds = workload->step_seconds * static_cast<double>(workload->steps),
             .power = workload->power});
      }
    }
  }
  return truth;
}

}  // namespace wattle::sim
