// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The jobs that come in a run of a scenario. They depend on the seed alone, so every policy meets
// the same work. Pure.
#ifndef WATTLE_SIM_SCENARIO_SUBMISSIONS_H_
#define WATTLE_SIM_SCENARIO_SUBMISSIONS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/random.h"
#include "sim/scenario/scenario.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::sim {

// A seed of its own for one of the things that a scenario draws.
uint64_t SeedOf(uint64_t seed, uint64_t stream);

// Seconds until the next of so many events a day. REQUIRES: per_day > 0.
double DrawPause(double per_day, Random& random);

struct Submission {
  size_t group = 0;  // its entry of Scenario::jobs
  double at_seconds = 0.0;
  v1::JobSpec spec;  // with the job's own name and deadline
};
// Entry by entry, each in order of time.
std::vector<Submission> SubmissionsOf(const Scenario& scenario, uint64_t seed);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_SCENARIO_SUBMISSIONS_H_
