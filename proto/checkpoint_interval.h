// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Chooses the time between two checkpoints. A checkpoint costs the time of its write; a power cut
// costs the work since the last checkpoint. The worker chooses by measured values; the predictor
// counts checkpoints by expected ones. Pure; thread-safe.
#ifndef WATTLE_PROTO_CHECKPOINT_INTERVAL_H_
#define WATTLE_PROTO_CHECKPOINT_INTERVAL_H_

#include "absl/time/time.h"

namespace wattle {

// The assumed mean time between cuts on an unknown board.
inline constexpr absl::Duration kBetweenCutsPrior = absl::Hours(24);

// The inputs of the choice, in device time.
struct CheckpointFacts {
  absl::Duration write{};         // of one checkpoint
  absl::Duration between_cuts{};  // mean
  // Most work that a cut may cost; infinite: no bound.
  absl::Duration loss_max = absl::InfiniteDuration();
  // Time until the card's budget has room for the next checkpoint.
  absl::Duration flash_wait{};
  // The work lost in the latest cut before a first checkpoint; zero: none.
  absl::Duration cut_off{};
  // Time for which the charge above the reserve lasts under the work; infinite: no reserve.
  absl::Duration until_reserve = absl::InfiniteDuration();
};

enum class CheckpointBound {
  kNone,     // the optimum of the costs
  kReserve,  // earlier: the battery is near the reserve, where a worn battery may fail
  kFlash,    // later, to save the card
  kLoss,     // earlier: a cut may cost no more
  kCutOff    // earlier: cuts come before the optimum
};

struct CheckpointInterval {
  absl::Duration interval{};
  CheckpointBound bound = CheckpointBound::kNone;
};

// √(2·write·between_cuts) minimizes the lost time (Young, "A first order approximation to the
// optimum checkpoint interval", CACM 17(9), 1974); at most between_cuts, the limit of the
// approximation (Daly, FGCS 22(3), 2006).
absl::Duration OptimalCheckpointInterval(absl::Duration write, absl::Duration between_cuts);

// The optimum within its bounds. Near the reserve the work at risk takes no more joules than are
// left above the reserve; a quarter of the optimum is the shortest such interval, so that a charge
// that stays there for days costs little. A bounded loss and half of the work lost in a cut
// override the card's budget, because a run that never reaches a checkpoint never ends. Never
// shorter than a write.
CheckpointInterval ChooseCheckpointInterval(const CheckpointFacts& facts);

// The number of checkpoints of a run of this length on a board with kBetweenCutsPrior.
double ExpectedCheckpoints(absl::Duration run, absl::Duration write);

// The time of one write if all those checkpoints and one more write, the result's, take `total`.
absl::Duration WriteTimeOf(absl::Duration total, absl::Duration run);

}  // namespace wattle

#endif  // WATTLE_PROTO_CHECKPOINT_INTERVAL_H_
