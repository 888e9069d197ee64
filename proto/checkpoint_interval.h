// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How long a run works between two checkpoints. A checkpoint costs the time that its write takes; a
// cut costs the work since the last one. The worker chooses by what it has measured; the predictor
// counts checkpoints by what it expects. Pure; thread-safe.
#ifndef WATTLE_PROTO_CHECKPOINT_INTERVAL_H_
#define WATTLE_PROTO_CHECKPOINT_INTERVAL_H_

#include "absl/time/time.h"

namespace wattle {

// The mean time between cuts on a board of which nothing is known.
inline constexpr absl::Duration kBetweenCutsPrior = absl::Hours(24);

// What an interval has to respect. All in device time.
struct CheckpointFacts {
  absl::Duration write{};         // of one checkpoint
  absl::Duration between_cuts{};  // mean
  // What a cut may cost; infinite: no bound.
  absl::Duration loss_max = absl::InfiniteDuration();
  // Until the card's budget has room for the next checkpoint.
  absl::Duration flash_wait{};
  // The work that the latest cut ended before its first checkpoint; zero: none did.
  absl::Duration cut_off{};
  // How long the charge above the reserve lasts under the work; infinite: no reserve bounds it.
  absl::Duration until_reserve = absl::InfiniteDuration();
};

enum class CheckpointBound {
  kNone,     // the optimum of the costs
  kReserve,  // earlier: the battery nears the reserve, where a worn one gives out
  kFlash,    // later, for the card's sake
  kLoss,     // earlier: a cut may cost no more
  kCutOff    // earlier: cuts come before the optimum
};

struct CheckpointInterval {
  absl::Duration interval{};
  CheckpointBound bound = CheckpointBound::kNone;
};

// √(2·write·between_cuts) loses the least time (Young, "A first order approximation to the optimum
// checkpoint interval", CACM 17(9), 1974); at most between_cuts, where the approximation ends
// (Daly, FGCS 22(3), 2006).
absl::Duration OptimalCheckpointInterval(absl::Duration write, absl::Duration between_cuts);

// The optimum within its bounds. Near the reserve the work at risk takes no more joules than are
// left above it; a quarter of the optimum is the shortest interval of that kind, so that a charge
// that stays there for days costs little. The card's budget yields to a loss that is bounded, and
// to half of what a cut has ended: a run that never reaches a checkpoint never ends. Never less
// than a write takes.
CheckpointInterval ChooseCheckpointInterval(const CheckpointFacts& facts);

// How many checkpoints a run of this length writes on a board with kBetweenCutsPrior.
double ExpectedCheckpoints(absl::Duration run, absl::Duration write);

// What one write takes, where all those checkpoints and one more write, the result's, take `total`.
absl::Duration WriteTimeOf(absl::Duration total, absl::Duration run);

}  // namespace wattle

#endif  // WATTLE_PROTO_CHECKPOINT_INTERVAL_H_
