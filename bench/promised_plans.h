// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a plan of the whole queue gains over a plan job by job, and what is left of it where no job
// may start later than job by job: the promise of scheduler/place to jobs that are wanted soon.
#ifndef WATTLE_BENCH_PROMISED_PLANS_H_
#define WATTLE_BENCH_PROMISED_PLANS_H_

#include "scheduler/timetable/instance.h"

namespace wattle::bench {

// Prints one line: the cost of each plan in percent of the list's, and the jobs that it leaves out.
// The list has the jobs in the order of their index; a job that it leaves out goes earlier while
// that leaves out fewer. The fleet pass plans with a solver's prices. With promises, its places
// that keep them stand, and the other jobs are inserted behind.
void PrintPromised(const timetable::Instance& instance, int moves);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_PROMISED_PLANS_H_
