// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-checkpoint-cuts WRITE_SECONDS SIZE_BYTES STEP_SECONDS BETWEEN_CUTS_SECONDS
// FLASH_BYTES_PER_DAY SEED: simulates a fine-tune of sixty days with random power cuts, with the
// worker's choice of intervals, with fixed intervals chosen for the cuts' mean, and with one of
// fifty steps. Prints the share of time that each keeps, and the bytes that the worker's choice
// writes. bench/field.py reads the output.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "absl/time/time.h"

#include "base/clock.h"
#include "proto/checkpoint_interval.h"
#include "worker/agent/core/checkpoint_cadence.h"

namespace {

using wattle::CheckpointFacts;
using wattle::Monotonic;
using wattle::agent::CheckpointCadence;

constexpr double kDays = 60;
constexpr int kMonthDays = 30;

struct Board {
  double write_seconds;
  int64_t size_bytes;
  double step_seconds;
  double flash_bytes_per_day;
};

struct Outcome {
  double kept_share = 0;           // share of the time in work that no cut undid
  double month_bytes_per_day = 0;  // mean of the 30 days with the most bytes written
};

// The work between cuts, until sixty days are full.
std::vector<double> DrawCuts(double between_cuts_seconds, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> next(1 / between_cuts_seconds);
  std::vector<double> cuts;
  for (double time = 0; time < kDays * 86'400; time += cuts.back()) {
    cuts.push_back(next(random));
  }
  return cuts;
}

// interval: the chosen time since the last checkpoint, computed after each step.
template <typename Interval, typename Written, typename Cut>
Outcome Run(const Board& board, const std::vector<double>& cuts, Interval interval, Written written,
            Cut cut) {
  double time = 0;
  double kept = 0;
  std::vector<double> days(static_cast<size_t>(kDays) + 400, 0.0);
  for (const double until : cuts) {
    double in_life = 0;
    double unsaved = 0;
    while (in_life + board.step_seconds <= until) {
      in_life += board.step_seconds;
      unsaved += board.step_seconds;
      if (unsaved >= interval(unsaved, time + in_life)) {
        in_life += board.write_seconds;
        if (in_life > until) {
          break;  // a cut in the middle of the write
        }
        days[static_cast<size_t>((time + in_life) / 86'400)] +=
            static_cast<double>(board.size_bytes);
        kept += unsaved;
        unsaved = 0;
        written(time + in_life);
      }
    }
    time += until;
    cut(unsaved);
  }
  double month = 0;
  for (size_t from = 0; from + kMonthDays <= static_cast<size_t>(kDays); ++from) {
    const auto begin = days.begin() + static_cast<ptrdiff_t>(from);
    month = std::max(month, std::accumulate(begin, begin + kMonthDays, 0.0));
  }
  return {kept / time, month / kMonthDays};
}

Outcome Ours(const Board& board, const std::vector<double>& cuts) {
  CheckpointCadence cadence;
  double cut_off = 0;
  const auto at = [](double seconds) { return Monotonic(absl::Seconds(seconds)); };
  return Run(
      board, cuts,
      [&](double unsaved, double now) {
        cadence.OnWork(absl::Seconds(board.step_seconds));
        CheckpointFacts facts = {.write = absl::Seconds(board.write_seconds),
                                 .between_cuts = cadence.between_cuts(),
                                 .cut_off = absl::Seconds(cut_off)};
        const absl::Duration room =
            cadence.FlashWait(board.size_bytes, board.flash_bytes_per_day, at(now));
        if (room > absl::ZeroDuration()) {
          facts.flash_wait = absl::Seconds(unsaved) + room;
        }
        return absl::ToDoubleSeconds(wattle::ChooseCheckpointInterval(facts).interval);
      },
      [&](double now) {
        cadence.OnWritten(board.size_bytes, at(now));
        cut_off = 0;
      },
      [&](double lost) {
        cadence.OnCut();
        cut_off = lost;
      });
}

double Fixed(const Board& board, const std::vector<double>& cuts, double interval_seconds) {
  return Run(
             board, cuts, [&](double, double) { return interval_seconds; }, [](double) {},
             [](double) {})
      .kept_share;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr,
                 "usage: wattle-checkpoint-cuts WRITE_SECONDS SIZE_BYTES STEP_SECONDS "
                 "BETWEEN_CUTS_SECONDS FLASH_BYTES_PER_DAY SEED\n");
    return 2;
  }
  const Board board = {std::atof(argv[1]), std::atoll(argv[2]), std::atof(argv[3]),
                       std::atof(argv[5])};
  const double between_cuts = std::atof(argv[4]);
  const std::vector<double> cuts = DrawCuts(between_cuts, std::strtoull(argv[6], nullptr, 10));
  const Outcome ours = Ours(board, cuts);
  double best = 0;
  const double optimum = absl::ToDoubleSeconds(wattle::OptimalCheckpointInterval(
      absl::Seconds(board.write_seconds), absl::Seconds(between_cuts)));
  for (double factor = 0.125; factor <= 8; factor *= 1.0905) {  // eight to an octave
    best = std::max(best, Fixed(board, cuts, factor * optimum));
  }
  std::printf("ours=%.6f best=%.6f fifty=%.6f bytes_per_day=%.0f\n", ours.kept_share, best,
              Fixed(board, cuts, 50 * board.step_seconds), ours.month_bytes_per_day);
  return 0;
}
