// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which journal this is. A journal has a lineage (a random id, the same in every copy) and an
// epoch: 0 when it began, and one more each time a copy of it is opened. Fencing tokens and job
// numbers are ordered by (epoch, counter): what an earlier epoch gave out after the backup was made
// is never given again, although the copy knows nothing of it. Pure.
#ifndef WATTLE_COORDINATOR_CORE_LINEAGE_H_
#define WATTLE_COORDINATOR_CORE_LINEAGE_H_

#include <cstdint>

#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::core {

// A token is epoch x 2^40 + counter: 8 million epochs of a trillion attempts.
inline constexpr int kTokenCounterBits = 40;
// Job numbers of an epoch begin at epoch x this + 1.
inline constexpr int64_t kJobNumbersOfAnEpoch = 10'000'000;
// Attempts of a job that an epoch places are numbered from epoch x this + 1.
inline constexpr int64_t kAttemptNumbersOfAnEpoch = 1000;

// Of the journal now; 0 also for a journal of a version before lineages.
int64_t EpochOf(const State& state);
inline int64_t EpochOf(FencingToken token) {
  return token.value() >> kTokenCounterBits;
}
// Random, of the latest opening; empty for a journal of a version before lineages.
std::string OpeningOf(const State& state);
// Whether this journal, or the copies that it began as, gave out the job number. A number that was
// given out and whose job is not in the state is that of an archived job.
bool WasGivenOut(const State& state, int64_t job_number);
// Whether the hello comes from a worker that last worked for this very opening of this journal (or
// for none yet), so that its reports go on where they were.
bool IsOfThisOpening(const State& state, const v1::Hello& hello);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_LINEAGE_H_
