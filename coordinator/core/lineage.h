// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Identity of a journal: a lineage and an epoch. The lineage is a random id that every copy keeps.
// The epoch is 0 at the beginning and rises by one whenever a copy is opened. Fencing tokens and
// job numbers are ordered by (epoch, counter). A copy therefore never repeats a number that the
// original gave out after the backup, although the copy lacks those numbers. Pure.
#ifndef WATTLE_COORDINATOR_CORE_LINEAGE_H_
#define WATTLE_COORDINATOR_CORE_LINEAGE_H_

#include <cstdint>

#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::core {

// A token is epoch × 2^40 + counter, enough for 8 million epochs of a trillion attempts each.
inline constexpr int kTokenCounterBits = 40;
// The first job number of an epoch is epoch × kJobNumbersOfAnEpoch + 1.
inline constexpr int64_t kJobNumbersOfAnEpoch = 10'000'000;
// The first attempt number that an epoch gives a job is above epoch × kAttemptNumbersOfAnEpoch.
inline constexpr int64_t kAttemptNumbersOfAnEpoch = 1000;

// The journal's epoch; 0 also for a journal from a version without lineages.
int64_t EpochOf(const State& state);
inline int64_t EpochOf(FencingToken token) {
  return token.value() >> kTokenCounterBits;
}
// The random id of the latest opening; empty for a journal from a version without lineages.
std::string OpeningOf(const State& state);
// Whether this journal, or a copy that it descends from, gave out the job number. If so and the
// state lacks the job, the history has the job.
bool WasGivenOut(const State& state, int64_t job_number);
// Whether the worker last worked for this opening of this journal, or has never worked for any
// journal. Such a worker continues its sequence of reports.
bool IsOfThisOpening(const State& state, const v1::Hello& hello);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_LINEAGE_H_
