// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Digests of plans of drawn fleets: two planners with the same decisions and the same texts print
// the same lines.
#ifndef WATTLE_BENCH_PLAN_DIGEST_H_
#define WATTLE_BENCH_PLAN_DIGEST_H_

#include <cstdint>

namespace wattle::bench {

// Draws `fleets` fleets of up to `boards` boards from the seeds `seed`, `seed` + 1 and so on: with
// and without sun, windows, budgets, groups, deadlines, modes, running attempts and latest plans.
// Prints a line for each: its seed and size, and the checksums of its plan with charge and moves,
// of its plan in order, of a longer search, and of plans for single jobs.
void PrintDigests(uint64_t seed, int fleets, int boards);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_PLAN_DIGEST_H_
