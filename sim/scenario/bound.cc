// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/bound.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "sim/scenario/submissions.h"
#include "sim/scenario/true_rates.h"

namespace wattle::sim {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr size_t kColumnsMax = 60'000;
constexpr int kIterationsMax = 1'000'000;
// Until a deadline's end is decided; and what a solver's answer may be off.
constexpr double kDeadlineSlackSeconds = 60.0;
constexpr double kTolerance = 1e-6;
constexpr double kSunReadHours = 60.0 / kSecondsOfHour;
// A job that waits so many times as long as the bound takes is starved.
constexpr double kStarvedRatio = 3.0;
// A program for each job that waited long must be a small one.
constexpr size_t kStarvedColumnsMax = 4'000;

// Equal jobs that may run in the same slots.
struct JobClass {
  size_t group = 0;
  size_t first_slot = 0;
  size_t last_slot = 0;
  bool must_be_in_time = false;  // its deadline is before the scenario's end
  int jobs = 0;
  std::vector<double> seconds;  // on each board, of the fastest of them
};

struct BoundBoard {
  double idle_watts = 0.0;
  std::vector<double> work_watts;  // by entry of jobs
  std::vector<double> seconds;     // likewise, at the board's best
};

// Mains of one board, or a pack with the boards that draw from it.
struct BoundSource {
  std::vector<size_t> boards;
  double idle_watts = 0.0;   // of all of them
  double capacity_wh = 0.0;  // 0: mains
  double charge_wh = 0.0;
  double reserve_wh = 0.0;        // the smallest of them
  std::vector<double> sun_watts;  // by hour
  double slack_wh = 0.0;          // in charge and capacity
};

struct BoundFleet {
  std::vector<BoundBoard> boards;
  std::vector<BoundSource> sources;
};

// How fast boards can become: the least factor of their seconds.
double BestSpeed(const Scenario& scenario) {
  const double days_over = (scenario.duration_seconds + kSecondsOfHour) / scenario.duration_seconds;
  return std::min(1.0, scenario.step) * std::min(1.0, scenario.software) *
         std::exp(-std::abs(std::log(scenario.drift)) * days_over);
}

BoundSource PackOf(const GroupTruth& group) {
  BoundSource pack;
  pack.capacity_wh = ToWattHours(*group.pack);
  pack.charge_wh = group.charge.value() * pack.capacity_wh;
  pack.reserve_wh = kInfinite;
  pack.sun_watts = group.sun;
  // The simulation reads the sun now and then, so that an evening may give a little more.
  for (const double watts : pack.sun_watts) {
    pack.slack_wh = std::max(pack.slack_wh, watts * kSunReadHours);
  }
  pack.charge_wh += pack.slack_wh;
  pack.capacity_wh += pack.slack_wh;
  return pack;
}

// The source of one more board of the group.
BoundSource& SourceFor(const GroupTruth& group, std::map<std::string, size_t>& shared,
                       std::vector<BoundSource>& sources) {
  if (!group.shared_pack.empty()) {
    const auto [entry, is_new] = shared.try_emplace(group.shared_pack, sources.size());
    if (!is_new) {
      return sources[entry->second];
    }
  }
  sources.push_back(group.pack ? PackOf(group) : BoundSource());
  return sources.back();
}

BoundFleet FleetOf(const Scenario& scenario, uint64_t seed) {
  BoundFleet fleet;
  std::map<std::string, size_t> shared;
  const double best = BestSpeed(scenario);
  const std::vector<GroupTruth> truth = TruthOf(scenario, seed);
  for (size_t i = 0; i < truth.size(); ++i) {
    const GroupTruth& group = truth[i];
    for (const BoardTruth& one : group.boards) {
      BoundSource& source = SourceFor(group, shared, fleet.sources);
      source.boards.push_back(fleet.boards.size());
      source.idle_watts += group.idle.value();
      if (group.pack) {
        // The guard goes by the gauge.
        const double lowest = group.reserve.value() - scenario.fleet[i].gauge_error.value();
        source.reserve_wh =
            std::min(source.reserve_wh, std::max(0.0, lowest) * ToWattHours(*group.pack));
      }
      BoundBoard& board = fleet.boards.emplace_back();
      board.idle_watts = group.idle.value();
      for (const JobTruth& job : one.jobs) {
        board.seconds.push_back(best * job.seconds);
        board.work_watts.push_back(job.power.value());
      }
    }
  }
  return fleet;
}

class BoundProgram {
 public:
  BoundProgram(const Scenario& scenario, uint64_t seed, std::vector<Submission> submissions)
      : scenario_(scenario),
        seed_(seed),
        fleet_(FleetOf(scenario, seed)),
        boards_(fleet_.boards),
        submissions_(std::move(submissions)) {}

  absl::StatusOr<RunFigures> Solve(const solve::Solver& solver) {
    WATTLE_RETURN_IF_ERROR(ChooseSlots(kColumnsMax));
    RunFigures figures;
    figures.values.fill(kNotTold);
    WATTLE_ASSIGN_OR_RETURN(const double done, Most(solver, /*only_in_time=*/false));
    figures.values[static_cast<size_t>(Figure::kDone)] = done;
    int due = 0;
    for (const JobClass& one : classes_) {
      due += one.must_be_in_time ? one.jobs : 0;
    }
    double in_time = 0.0;
    if (due > 0) {
      WATTLE_ASSIGN_OR_RETURN(in_time, Most(solver, /*only_in_time=*/true));
    }
    figures.values[static_cast<size_t>(Figure::kMissed)] = due - in_time;
    return figures;
  }

  // The hours of the shortest slots with which a program of all jobs has so few columns.
  absl::StatusOr<size_t> HoursOfSlot(size_t columns_max) {
    WATTLE_RETURN_IF_ERROR(ChooseSlots(columns_max));
    return hours_of_slot_;
  }

  // Whether all jobs can end in time, in slots of so many hours.
  absl::StatusOr<bool> SolveForAll(size_t hours_of_slot, const solve::Solver& solver) {
    SetSlots(hours_of_slot);
    WATTLE_ASSIGN_OR_RETURN(const double done, Most(solver, /*only_in_time=*/false));
    return done >= static_cast<double>(submissions_.size());
  }

 private:
  // Returns how many columns the program has.
  size_t SetSlots(size_t hours_of_slot) {
    hours_of_slot_ = hours_of_slot;
    const auto hours = static_cast<size_t>(std::ceil(scenario_.duration_seconds / kSecondsOfHour));
    slots_ = (hours + hours_of_slot_ - 1) / hours_of_slot_;
    MakeClasses();
    size_t columns = 4 * boards_.size() * slots_;
    for (const JobClass& one : classes_) {
      columns += boards_.size() * (one.last_slot - one.first_slot + 1);
    }
    return columns;
  }

  // The shortest slots, from an hour on, with which the program is small enough.
  absl::Status ChooseSlots(size_t columns_max) {
    for (size_t hours_of_slot = 1;; hours_of_slot *= 2) {
      const size_t columns = SetSlots(hours_of_slot);
      if (columns <= columns_max) {
        return absl::OkStatus();
      }
      if (slots_ == 1) {
        return absl::InvalidArgumentError(absl::StrCat(
            "policy bound: its linear program has ", columns, " columns; wanted at most ",
            columns_max, ", so leave bound out or simulate fewer boards and kinds of jobs"));
      }
    }
  }

  [[nodiscard]] double SlotSeconds() const {
    return kSecondsOfHour * static_cast<double>(hours_of_slot_);
  }

  // The slots' own seconds within the scenario.
  [[nodiscard]] double RoomOf(size_t slot) const {
    return std::min(SlotSeconds(),
                    scenario_.duration_seconds - SlotSeconds() * static_cast<double>(slot));
  }

  void MakeClasses() {
    std::map<std::tuple<size_t, size_t, size_t, bool>, JobClass> classes;
    const TrueRates rates(scenario_, seed_);
    for (const Submission& job : submissions_) {
      const double deadline = job.spec.deadline_seconds();
      const double end = deadline > 0.0 ? job.at_seconds + deadline : scenario_.duration_seconds;
      const bool due = deadline > 0.0 && end < scenario_.duration_seconds;
      const auto first = static_cast<size_t>(job.at_seconds / SlotSeconds());
      const auto last = static_cast<size_t>((end + kDeadlineSlackSeconds) / SlotSeconds());
      JobClass& of =
          classes[{job.group, std::min(first, slots_ - 1), std::min(last, slots_ - 1), due}];
      of.group = job.group;
      of.first_slot = std::min(first, slots_ - 1);
      of.last_slot = std::min(last, slots_ - 1);
      of.must_be_in_time = due;
      ++of.jobs;
      of.seconds.resize(boards_.size(), kInfinite);
      for (size_t board = 0; board < boards_.size(); ++board) {
        const double seconds =
            boards_[board].seconds[job.group] * rates.OfRun(job.spec, static_cast<int>(board));
        of.seconds[board] = std::min(of.seconds[board], seconds);
      }
    }
    classes_.clear();
    for (auto& [key, one] : classes) {
      classes_.push_back(std::move(one));
    }
  }

  // The most jobs; only_in_time: of those alone whose deadline is before the scenario's end.
  absl::StatusOr<double> Most(const solve::Solver& solver, bool only_in_time) {
    solve::LinearProgram program;
    std::vector<std::vector<SlotRows>> rows(boards_.size());
    std::vector<const BoundSource*> sources(boards_.size());
    for (const BoundSource& source : fleet_.sources) {
      AddSource(source, rows, program);
      for (const size_t board : source.boards) {
        sources[board] = &source;
      }
    }
    for (const JobClass& one : classes_) {
      const int of_class = program.AddRow(0.0, one.jobs);
      const double cost = only_in_time && !one.must_be_in_time ? 0.0 : -1.0;
      for (size_t board = 0; board < boards_.size(); ++board) {
        AddWork(one, {board, *sources[board]}, {of_class, cost}, rows[board], program);
      }
    }
    const auto solution = solver.solve(program, {.iterations = kIterationsMax});
    WATTLE_RETURN_IF_ERROR(WithContext("policy bound", solution.status()));
    WATTLE_RETURN_IF_ERROR(WithContext("policy bound", solve::CheckSolution(program, *solution)));
    return std::floor(-solution->cost * (1.0 + kTolerance) + kTolerance);
  }

  // The rows of a board's slot, those of the pack in watt-hours; -1: a board on mains has none. The
  // boards of a shared pack have one row `balance`.
  struct SlotRows {
    int time = -1;
    int balance = -1;
    int before = -1;
    int after = -1;
    int fall = -1;
  };

  struct ClassRow {
    int row = 0;
    double cost = 0.0;
  };

  struct BoardAt {
    size_t number = 0;
    const BoundSource& source;
  };

  // Which part of the class is worked on in each slot.
  void AddWork(const JobClass& one, const BoardAt& at, const ClassRow& of_class,
               const std::vector<SlotRows>& rows, solve::LinearProgram& program) const {
    const BoundBoard& board = boards_[at.number];
    const double reserve_wh = at.source.reserve_wh;
    const double seconds = one.seconds[at.number];
    const double above_idle_wh =
        seconds * std::max(0.0, board.work_watts[one.group] - board.idle_watts) / kSecondsOfHour;
    for (size_t slot = one.first_slot; slot <= one.last_slot; ++slot) {
      const double room = RoomOf(slot);
      std::vector<solve::LinearProgram::Term> terms = {{of_class.row, 1.0},
                                                       {rows[slot].time, seconds}};
      if (rows[slot].balance >= 0) {
        const double idle_wh = at.source.idle_watts * room / kSecondsOfHour;
        terms.push_back({rows[slot].balance, above_idle_wh});
        terms.push_back({rows[slot].before, -reserve_wh * seconds / room});
        terms.push_back({rows[slot].fall, idle_wh * seconds / room});
        terms.push_back({rows[slot].after, -std::max(0.0, reserve_wh - idle_wh) * seconds / room});
      }
      // A job works in one place at a time.
      program.AddColumn(of_class.cost, one.jobs * std::min(1.0, room / seconds), std::move(terms));
    }
  }

  // The nets of the hours of a slot, in watt-hours: sun without idle draw.
  [[nodiscard]] std::vector<double> NetsOf(const BoundSource& pack, size_t slot) const {
    std::vector<double> nets;
    const size_t begin = slot * hours_of_slot_;
    for (size_t hour = begin; hour < begin + hours_of_slot_; ++hour) {
      const double left = scenario_.duration_seconds / kSecondsOfHour - static_cast<double>(hour);
      const double sun = hour < pack.sun_watts.size() ? pack.sun_watts[hour] : 0.0;
      if (left > 0.0) {
        nets.push_back(std::min(1.0, left) * (sun - pack.idle_watts));
      }
    }
    return nets;
  }

  // The time of each slot, and of boards with a pack what its charge is before and after.
  void AddSource(const BoundSource& source, std::vector<std::vector<SlotRows>>& rows,
                 solve::LinearProgram& program) const {
    for (const size_t board : source.boards) {
      rows[board].resize(slots_);
      for (size_t slot = 0; slot < slots_; ++slot) {
        rows[board][slot].time = program.AddRow(0.0, RoomOf(slot));
      }
    }
    if (source.capacity_wh <= 0.0) {
      return;
    }
    // What work leaves at least, and idle draw after it: a pack that cannot be empty gives all of
    // its idle draw.
    const double stopped =
        std::min(source.reserve_wh, source.charge_wh) - source.idle_watts - source.slack_wh;
    double least = std::max(0.0, stopped);
    std::vector<bool> may_be_empty;
    for (size_t slot = 0; slot < slots_; ++slot) {
      double sum = 0.0;
      double gains = source.slack_wh;
      bool empty = false;
      for (const double net : NetsOf(source, slot)) {
        sum += net;
        gains += std::max(0.0, net);
        empty = empty || least + net < 0.0;
        least = std::max(0.0, std::min(stopped, least + net));
      }
      // Surplus sun may be lost. While a board works the reserve is whole: at some time of the
      // slot, and but for idle draw still at its end. It falls by idle draw alone, and not during
      // work.
      const int balance = program.AddRow(-kInfinite, sum);
      for (const size_t board : source.boards) {
        SlotRows& of = rows[board][slot];
        of.balance = balance;
        of.before = program.AddRow(-gains, kInfinite);
        of.after = program.AddRow(0.0, kInfinite);
        of.fall = program.AddRow(-kInfinite, source.idle_watts * RoomOf(slot) / kSecondsOfHour);
      }
      may_be_empty.push_back(empty);
    }
    AddCharge(source, rows, program);
    AddEmptyTimes(source, rows, may_be_empty, program);
  }

  // Between the slots, the charge up to the reserve and the charge above it.
  void AddCharge(const BoundSource& pack, const std::vector<std::vector<SlotRows>>& rows,
                 solve::LinearProgram& program) const {
    using Terms = std::vector<solve::LinearProgram::Term>;
    const double reserve = std::min(pack.reserve_wh, pack.capacity_wh);
    const size_t first = pack.boards.front();
    for (size_t slot = 0; slot <= slots_; ++slot) {
      Terms above;
      Terms below;
      if (slot < slots_) {
        above = {{rows[first][slot].balance, -1.0}};
        below = above;
        for (const size_t board : pack.boards) {
          const SlotRows& next = rows[board][slot];
          below.insert(below.end(), {{next.before, 1.0}, {next.fall, 1.0}});
        }
      }
      if (slot > 0) {
        above.push_back({rows[first][slot - 1].balance, 1.0});
        below.push_back({rows[first][slot - 1].balance, 1.0});
        for (const size_t board : pack.boards) {
          const SlotRows& last = rows[board][slot - 1];
          below.insert(below.end(), {{last.after, 1.0}, {last.fall, -1.0}});
        }
      }
      const double most = slot == 0 ? pack.charge_wh : pack.capacity_wh;
      program.AddColumn(0.0, std::max(0.0, most - reserve), std::move(above));
      program.AddColumn(0.0, std::min(reserve, most), std::move(below));
    }
  }

  // The idle draw that an empty pack does not give. A board that is off does not work.
  void AddEmptyTimes(const BoundSource& pack, const std::vector<std::vector<SlotRows>>& rows,
                     const std::vector<bool>& may_be_empty, solve::LinearProgram& program) const {
    for (const size_t board : pack.boards) {
      for (size_t slot = 0; slot < slots_; ++slot) {
        const double room = RoomOf(slot);
        const double idle_wh = boards_[board].idle_watts * room / kSecondsOfHour;
        if (may_be_empty[slot] && idle_wh > 0.0) {
          program.AddColumn(0.0, idle_wh,
                            {{rows[board][slot].balance, -1.0},
                             {rows[board][slot].fall, 1.0},
                             {rows[board][slot].time, room / idle_wh}});
        }
      }
    }
  }

  const Scenario& scenario_;
  const uint64_t seed_;
  const BoundFleet fleet_;
  const std::vector<BoundBoard>& boards_;
  const std::vector<Submission> submissions_;
  std::vector<JobClass> classes_;
  size_t hours_of_slot_ = 1;
  size_t slots_ = 0;
};

}  // namespace

absl::Status CheckBound(const solve::Solver* solver) {
  return solver != nullptr
             ? absl::OkStatus()
             : absl::FailedPreconditionError(
                   "policy bound: this program was built without a solver of linear programs; "
                   "leave bound out, or build with coinor-libclp-dev");
}

absl::StatusOr<RunFigures> BoundOf(const Scenario& scenario, uint64_t seed,
                                   const solve::Solver* solver) {
  WATTLE_RETURN_IF_ERROR(CheckBound(solver));
  return BoundProgram(scenario, seed, SubmissionsOf(scenario, seed)).Solve(*solver);
}

absl::StatusOr<int> StarvedJobs(const Scenario& scenario, uint64_t seed,
                                absl::Span<const double> waits_hours, const solve::Solver* solver) {
  WATTLE_RETURN_IF_ERROR(CheckBound(solver));
  const std::vector<Submission> all = SubmissionsOf(scenario, seed);
  WATTLE_CHECK(waits_hours.size() == all.size(), "every job has a wait");
  WATTLE_ASSIGN_OR_RETURN(const size_t hours,
                          BoundProgram(scenario, seed, all).HoursOfSlot(kStarvedColumnsMax));
  const double slot_seconds = kSecondsOfHour * static_cast<double>(hours);
  int starved = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    // The bound counts in slots: it must end in the last one that ends in a third of the wait.
    const double third = all[i].at_seconds + waits_hours[i] * kSecondsOfHour / kStarvedRatio;
    const double end =
        std::floor(third / slot_seconds) * slot_seconds - 2.0 * kDeadlineSlackSeconds;
    if (end <= all[i].at_seconds) {
      continue;
    }
    std::vector<Submission> before;
    for (const Submission& job : all) {
      if (job.at_seconds <= all[i].at_seconds && job.spec.priority() >= all[i].spec.priority()) {
        before.push_back(job);
        before.back().spec.set_deadline_seconds(end - job.at_seconds);
      }
    }
    WATTLE_ASSIGN_OR_RETURN(
        const bool could_end,
        BoundProgram(scenario, seed, std::move(before)).SolveForAll(hours, *solver));
    starved += could_end ? 1 : 0;
  }
  return starved;
}

}  // namespace wattle::sim
