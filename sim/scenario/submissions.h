// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The jobs submitted in a run of a scenario, which depend only on the seed, so that every policy
// gets the same work. Pure.
#ifndef WATTLE_SIM_SCENARIO_SUBMISSIONS_H_
#define WATTLE_SIM_SCENARIO_SUBMISSIONS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/random.h"
#include "sim/scenario/scenario.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::sim {

// A separate seed for each thing that a scenario draws.
uint64_t SeedOf(uint64_t seed, uint64_t stream);

// Seconds until the next of `per_day` events a day on average. REQUIRES: per_day > 0.
double DrawPause(double per_day, Random& random);

struct Submission {
  size_t group = 0;  // its entry of Scenario::jobs
  double at_seconds = 0.0;
  v1::JobSpec spec;  // with the job's own name and deadline
};
// By entry, and for each entry in order of time.
std::vector<Submission> SubmissionsOf(const Scenario& scenario, uint64_t seed);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SUBMISSIONS_H_
