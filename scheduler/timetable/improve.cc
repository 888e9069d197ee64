// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/improve.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <utility>
#include <vector>

#include "scheduler/timetable/amounts.h"

namespace wattle::timetable {
namespace {

constexpr size_t kTakenOutMin = 2;
constexpr size_t kTakenOutMax = 8;
// Number of rounds. The threshold falls to 0 in each round; a round begins with the best plan so
// far.
constexpr int kRounds = 5;
// The threshold at the begin of a round is the cost divided by this number.
constexpr Millijoules kFirstThresholdShare = 50;

// SplitMix64 (G. Steele, D. Lea, C. Flood, 2014): the same numbers everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  size_t Below(size_t bound) { return static_cast<size_t>(Next() % bound); }

 private:
  uint64_t state_;
};

// The relation between the jobs of one move.
enum class Relation { kDevice, kPack, kTime, kNone };

class Search {
 public:
  Search(const Instance& instance, Schedule begin, const SearchBudget& budget)
      : instance_(instance),
        budget_(budget),
        random_(budget.seed),
        now_(begin),
        next_(begin),
        best_(std::move(begin)) {}

  Schedule Run() {
    const int moves = std::max(budget_.moves / kRounds, 1);
    for (int move = 0; move < budget_.moves && instance_.jobs.size() >= kTakenOutMin; ++move) {
      // Each round restarts at the best plan, because the last round may have ended at a worse one.
      if (move % moves == 0) {
        now_ = best_;
      }
      next_ = now_;
      Move(next_);
      // Threshold accepting (Dueck and Scheuer 1990) with a threshold that falls linearly to 0
      // within the round.
      const Millijoules threshold =
          best_.cost() / kFirstThresholdShare / moves * (moves - move % moves - 1);
      if (next_.cost() > now_.cost() + threshold) {
        continue;
      }
      // Swapping instead of copying keeps the memory of both schedules.
      std::swap(now_, next_);
      if (now_.cost() < best_.cost()) {
        best_ = now_;
      }
    }
    return std::move(best_);
  }

 private:
  [[nodiscard]] int PackOf(const Planned& planned) const {
    return planned.device == Planned::kLeftOut
               ? kMains
               : instance_.devices[static_cast<size_t>(planned.device)].pack;
  }

  // The start of a job; for a job that is left out, the earliest time at which it could begin.
  [[nodiscard]] Seconds TimeOf(const Planned& planned) const {
    return planned.device == Planned::kLeftOut
               ? instance_.jobs[static_cast<size_t>(planned.job)].released
               : planned.start;
  }

  // Distance of a job from the first job of the move, in seconds.
  [[nodiscard]] Seconds Distance(const Planned& from, const Planned& to, Relation relation) const {
    if (relation == Relation::kNone || to.device == Planned::kLeftOut) {
      return 0;  // Any move may find a place for a job that is left out.
    }
    // Unrelated jobs are not excluded but chosen last, so that small instances still fill a move.
    constexpr Seconds kFar = 1000 * kHour;
    const Seconds apart = std::abs(TimeOf(from) - TimeOf(to));
    if (from.device == Planned::kLeftOut) {
      return apart;
    }
    switch (relation) {
      case Relation::kDevice:
        return apart + (from.device == to.device ? 0 : kFar);
      case Relation::kPack:
        return apart +
               (from.device == to.device || (PackOf(from) == PackOf(to) && PackOf(from) != kMains)
                    ? 0
                    : kFar);
      default:
        return apart;
    }
  }

  // Takes some related jobs out and puts them back in a random order. Each way of a job is skipped
  // with a chance of 1 in 8, so that a job can also make room for another one.
  void Move(Schedule& schedule) {
    const size_t jobs = instance_.jobs.size();
    const Planned first = schedule.planned(random_.Below(jobs));
    const auto relation = static_cast<Relation>(random_.Below(4));
    const size_t count =
        std::min(jobs, kTakenOutMin + random_.Below(kTakenOutMax - kTakenOutMin + 1));
    // A small random offset lets a farther job be chosen instead.
    std::vector<std::pair<Seconds, size_t>>& near = near_;
    near.clear();
    for (size_t job = 0; job < jobs; ++job) {
      near.emplace_back(Distance(first, schedule.planned(job), relation) +
                            static_cast<Seconds>(random_.Below(6 * kHour)),
                        job);
    }
    // The first job itself is always taken out.
    near[static_cast<size_t>(first.job)].first = -1;
    std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(count), near.end());
    near.resize(count);
    for (const auto& [distance, job] : near) {
      schedule.Remove(job);
    }
    for (size_t left = near.size(); left > 0; --left) {
      const size_t pick = random_.Below(left);
      // The conjunction of three random words sets each bit with a chance of 1 in 8.
      schedule.Insert(near[pick].second, random_.Next() & random_.Next() & random_.Next());
      std::swap(near[pick], near[left - 1]);
    }
  }

  const Instance& instance_;
  const SearchBudget budget_;
  Random random_;
  Schedule now_;
  Schedule next_;  // Kept so that each move reuses its memory.
  Schedule best_;
  std::vector<std::pair<Seconds, size_t>> near_;  // Kept so that each move reuses its memory.
};

}  // namespace

Schedule Improve(const Instance& instance, Schedule begin, const SearchBudget& budget) {
  return Search(instance, std::move(begin), budget).Run();
}

}  // namespace wattle::timetable
