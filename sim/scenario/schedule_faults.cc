// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/schedule_faults.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <utility>

#include "sim/scenario/drawn_boards.h"
#include "sim/worker.h"

namespace wattle::sim {
namespace {

// One board.
class BoardFaults {
 public:
  BoardFaults(EventLoop& loop, Fleet& fleet, int board)
      : loop_(loop),
        fleet_(fleet),
        board_(board),
        worker_(*fleet.workers()[static_cast<size_t>(board)]) {}

  void Schedule(const Scenario& scenario, const BoardGroup& group, uint64_t seed) {
    const auto cut_link = CutIn([&fleet = fleet_, board = board_](bool is_cut) {
      fleet.network().SetPartitioned(board, is_cut);
    });
    for (const LinkCut& cut : scenario.cuts) {
      if (group.name == cut.group) {
        cut_link(cut.begin_seconds, cut.end_seconds);
      }
    }
    const auto cut_power =
        CutIn([&worker = worker_](bool is_cut) { worker.SetSwitchedOff(is_cut); });
    for (const TimeOff& time : TimesOff(scenario, group, board_, seed)) {
      cut_power(time.begin_seconds, time.end_seconds);
    }
    ScheduleSickDisks(scenario, group, seed);
    for (const TimeOff& time :
         TimesOfFault(scenario, v1::SCENARIO_FAULT_KIND_RUNNER_CRASH, group, {board_, seed})) {
      loop_.At(kBeginSeconds + time.begin_seconds,
               [&worker = worker_] { worker.BreakRunner(Worker::RunnerFault::kCrash); });
    }
  }

 private:
  // Returns a function that schedules cuts. Cuts may overlap: the end of one does not end another.
  std::function<void(double begin, double end)> CutIn(std::function<void(bool is_cut)> set) {
    return [&loop = loop_, set = std::move(set), cuts = std::make_shared<int>(0)](double begin,
                                                                                  double end) {
      loop.At(kBeginSeconds + begin, [set, cuts] { set(++*cuts > 0); });
      loop.At(kBeginSeconds + end, [set, cuts] { set(--*cuts > 0); });
    };
  }

  // If two faults of the disk overlap, the earlier row counts.
  void ScheduleSickDisks(const Scenario& scenario, const BoardGroup& group, uint64_t seed) {
    static constexpr std::pair<v1::ScenarioFaultKind, Worker::Disk> kSickDisks[] = {
        {v1::SCENARIO_FAULT_KIND_DISK_ERROR, Worker::Disk::kError},
        {v1::SCENARIO_FAULT_KIND_DISK_READ_ONLY, Worker::Disk::kReadOnly},
        {v1::SCENARIO_FAULT_KIND_DISK_FULL, Worker::Disk::kFull},
    };
    const auto sick = std::make_shared<std::set<v1::ScenarioFaultKind>>();
    for (const auto& row : kSickDisks) {
      const auto fail = CutIn([&worker = worker_, sick, kind = row.first](bool is_sick) {
        if (is_sick) {
          sick->insert(kind);
        } else {
          sick->erase(kind);
        }
        const auto* const worst =
            std::find_if(std::begin(kSickDisks), std::end(kSickDisks),
                         [&sick](const auto& one) { return sick->contains(one.first); });
        worker.SetDisk(worst == std::end(kSickDisks) ? Worker::Disk::kHealthy : worst->second);
      });
      for (const TimeOff& time : TimesOfFault(scenario, row.first, group, {board_, seed})) {
        fail(time.begin_seconds, time.end_seconds);
      }
    }
  }

  EventLoop& loop_;
  Fleet& fleet_;
  const int board_;
  Worker& worker_;
};

}  // namespace

void ScheduleFaults(const Scenario& scenario, uint64_t seed, EventLoop& loop, Fleet& fleet) {
  int board = 0;
  for (const BoardGroup& group : scenario.fleet) {
    for (int i = 0; i < group.count; ++i, ++board) {
      BoardFaults(loop, fleet, board).Schedule(scenario, group, seed);
    }
  }
}

}  // namespace wattle::sim
