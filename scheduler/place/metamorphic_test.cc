// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Changes of a drawn fleet and queue whose effect is known without knowing the best plan. More sun,
// a looser deadline, a board more or a smaller job leave every plan of before allowed, so the plan
// costs little more at most. New names, another order, and a thousand times the joules everywhere
// change no decision.
#include <algorithm>
#include <cstddef>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

constexpr unsigned kSeeds = 150;
constexpr int kWorkloads = 4;
// Price of a job without a place: more than all runs of a queue together.
constexpr double kLeftOutJoules = 1e9;

// A board as a drawing: what it takes for a token of each workload, and its pack.
struct DrawnBoard {
  std::string name;
  std::vector<MeasuredPace> paces;  // By workload.
  double pack_wh = 0;               // 0: on mains.
  double charge = 1;
  double noon_watts = 0;
};
struct DrawnJob {
  std::string id;
  size_t workload = 0;
  int64_t examples = 0;
  double deadline_hours = 0;  // 0: none.
};
struct Drawing {
  std::vector<DrawnBoard> boards;
  std::vector<DrawnJob> jobs;
  double joules = 1;  // Value of a joule.
};

Drawing Draw(unsigned seed) {
  std::mt19937 dice(seed);
  const auto between = [&dice](double low, double high) {
    return low + (high - low) * static_cast<double>(dice()) / 4294967296.0;
  };
  Drawing drawing;
  const size_t boards = 2 + dice() % 3;
  for (size_t i = 0; i < boards; ++i) {
    DrawnBoard board;
    board.name = std::string(1, static_cast<char>('a' + i));
    for (int workload = 0; workload < kWorkloads; ++workload) {
      board.paces.push_back({between(0.005, 0.02), between(7, 15)});
    }
    // If a board is on mains, every job has a place.
    if (i > 0 && dice() % 4 > 0) {
      board.pack_wh = between(40, 120);
      board.charge = between(0.3, 1);
      board.noon_watts = between(5, 40);
    }
    drawing.boards.push_back(std::move(board));
  }
  const size_t jobs = 3 + dice() % 6;
  for (size_t i = 1; i <= jobs; ++i) {
    DrawnJob job{.id = "j" + std::to_string(i),
                 .workload = dice() % kWorkloads,
                 .examples = static_cast<int64_t>(between(300, 4000))};
    if (dice() % 3 == 0) {
      job.deadline_hours = between(4, 30);
    }
    drawing.jobs.push_back(job);
  }
  return drawing;
}

// A plan's decision about a job.
struct Decision {
  std::string board;  // Empty: the job has no place.
  double start_hours = 0;
  double cost = 0;
};
using Decisions = std::map<std::string, Decision>;  // By job.

class PlannedDrawing {
 public:
  explicit PlannedDrawing(const Drawing& drawing) : drawing_(drawing) {
    v1::Policy policy;
    policy.set_name("north");
    policy.set_reserve_state_of_charge_ratio(0.3);
    snapshot_ = MakeSnapshot({}, profiles_);
    snapshot_.policies = {policy};
    for (const DrawnBoard& board : drawing.boards) {
      AddBoard(board);
    }
    for (const DrawnJob& job : drawing.jobs) {
      AddJob(job);
    }
  }

  Decisions Plan() {
    Decisions decisions;
    for (const QueuePlacement& placed : PlanQueue(snapshot_)) {
      Decision& decision = decisions[placed.job.value()];
      if (placed.placement.device_id().empty()) {
        decision.cost = kLeftOutJoules;
        continue;
      }
      const v1::Candidate& chosen = placed.placement.best(0);
      decision = {chosen.device_name(), chosen.start_in_seconds() / 3600,
                  chosen.cost() / drawing_.joules};
    }
    return decisions;
  }

 private:
  static JobView ViewOf(const DrawnJob& job) {
    JobView view = RealJob(job.id, job.examples);
    *view.inputs[0].artifact.mutable_model_shape() =
        Gpt2Shape(2 + 2 * static_cast<int>(job.workload));
    view.spec.set_deadline_seconds(job.deadline_hours * 3600);
    return view;
  }

  void AddBoard(const DrawnBoard& board) {
    DeviceView view = OrinNano(board.name);
    v1::DeviceInfo& info = *view.device.mutable_info();
    info.set_idle_power_watts(2 * drawing_.joules);
    info.set_link_bytes_per_second(1e12);
    view.device.mutable_heartbeat()->add_cached_artifact_ids("m");
    view.device.mutable_heartbeat()->add_cached_artifact_ids("d");
    if (board.pack_wh > 0) {
      SetBattery(board.pack_wh * drawing_.joules, board.charge, &view);
      for (int hour = 0; hour < 24; ++hour) {
        const double share = std::max(0.0, 1 - std::abs(hour - 12) / 6.0);
        view.device.mutable_ledger()->add_harvest_power_watts_by_hour(share * board.noon_watts *
                                                                      drawing_.joules);
      }
    }
    for (size_t workload = 0; workload < board.paces.size(); ++workload) {
      const MeasuredPace& pace = board.paces[workload];
      // Measured often: the interval is narrow.
      for (int i = 0; i < 10; ++i) {
        Learn(view, ViewOf({.id = "j0", .workload = workload, .examples = 1000}),
              {pace.seconds_per_token, pace.watts * drawing_.joules}, profiles_);
      }
    }
    snapshot_.devices.push_back(std::move(view));
  }

  void AddJob(const DrawnJob& job) { snapshot_.queue.push_back(ViewOf(job)); }

  const Drawing& drawing_;
  ProfileTable profiles_;
  Snapshot snapshot_;
};

Decisions PlanOf(const Drawing& drawing) {
  return PlannedDrawing(drawing).Plan();
}

double SumOfCosts(const Decisions& decisions) {
  double cost = 0;
  for (const auto& [job, decision] : decisions) {
    cost += decision.cost;
  }
  return cost;
}

// One queue of all may cost more than 1 % more. The search puts a job off for another one's joules
// for some hours at most, so a job that now takes scarce charge can send a later job to a board
// that costs more.
constexpr size_t kDearerMax = 1;

// change: makes the drawing easier to plan. deadlines: by what those of the drawings are multiplied
// first.
template <typename Change>
void ExpectHardlyDearer(const Change& change, double deadlines = 1) {
  std::vector<std::string> dearer;
  int cheaper = 0;
  double before_sum = 0;
  double after_sum = 0;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    Drawing drawing = Draw(seed);
    for (DrawnJob& job : drawing.jobs) {
      job.deadline_hours *= deadlines;
    }
    const double before = SumOfCosts(PlanOf(drawing));
    std::mt19937 dice(seed);
    change(drawing, dice);
    const double after = SumOfCosts(PlanOf(drawing));
    if (after > 1.01 * before) {
      dearer.push_back("seed " + std::to_string(seed) + ": " + std::to_string(after / before));
    }
    cheaper += after < 0.999 * before ? 1 : 0;
    before_sum += before;
    after_sum += after;
  }
  EXPECT_LE(dearer.size(), kDearerMax) << testing::PrintToString(dearer);
  EXPECT_LT(after_sum, before_sum);
  EXPECT_GT(cheaper, 3) << "the change changes nothing";
}

TEST(MetamorphicTest, MoreSunCostsLittleMoreAtMost) {
  ExpectHardlyDearer([](Drawing& drawing, std::mt19937&) {
    for (DrawnBoard& board : drawing.boards) {
      board.noon_watts *= 1.5;
    }
  });
}

TEST(MetamorphicTest, LooserDeadlinesCostLittleMoreAtMost) {
  ExpectHardlyDearer(
      [](Drawing& drawing, std::mt19937&) {
        for (DrawnJob& job : drawing.jobs) {
          job.deadline_hours *= 2;
        }
      },
      /*deadlines=*/0.5);
}

TEST(MetamorphicTest, OneMoreBoardCostsLittleMoreAtMost) {
  ExpectHardlyDearer([](Drawing& drawing, std::mt19937& dice) {
    DrawnBoard board = Draw(static_cast<unsigned>(dice())).boards[0];
    board.name = "more";
    drawing.boards.push_back(board);
  });
}

TEST(MetamorphicTest, ASmallerJobCostsLittleMoreAtMost) {
  ExpectHardlyDearer([](Drawing& drawing, std::mt19937& dice) {
    drawing.jobs[dice() % drawing.jobs.size()].examples /= 2;
  });
}

// board_names: from the name before to the name after.
void ExpectTheSame(const Decisions& before, const Decisions& after,
                   const std::map<std::string, std::string>& board_names = {}) {
  ASSERT_EQ(before.size(), after.size());
  auto other = after.begin();
  for (const auto& [job, decision] : before) {
    SCOPED_TRACE(job);
    const auto renamed = board_names.find(decision.board);
    EXPECT_EQ(other->second.board, renamed == board_names.end() ? decision.board : renamed->second);
    EXPECT_NEAR(other->second.start_hours, decision.start_hours, 1e-9);
    EXPECT_NEAR(other->second.cost, decision.cost, 1e-9 * decision.cost);
    ++other;
  }
}

TEST(MetamorphicTest, AnotherOrderChangesNothing) {
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Drawing drawing = Draw(seed);
    const Decisions before = PlanOf(drawing);
    std::mt19937 dice(seed);
    std::shuffle(drawing.boards.begin(), drawing.boards.end(), dice);
    std::shuffle(drawing.jobs.begin(), drawing.jobs.end(), dice);
    ExpectTheSame(before, PlanOf(drawing));
  }
}

TEST(MetamorphicTest, NewNamesChangeNothing) {
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Drawing drawing = Draw(seed);
    const Decisions before = PlanOf(drawing);
    std::map<std::string, std::string> names;
    for (size_t i = 0; i < drawing.boards.size(); ++i) {
      std::string& name = drawing.boards[i].name;
      const std::string other = "z" + std::to_string(drawing.boards.size() - i);
      names[name] = other;
      name = other;
    }
    for (DrawnJob& job : drawing.jobs) {
      job.id += "000";
    }
    ExpectTheSame(before, PlanOf(drawing), names);
  }
}

// Powers are whole milliwatts, and a start on a pack is a quarter of an hour: a rounding may move
// it by one.
TEST(MetamorphicTest, AThousandTimesTheJoulesChangeNothing) {
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Drawing drawing = Draw(seed);
    drawing.joules = 0.2;
    const Decisions before = PlanOf(drawing);
    drawing.joules = 200;
    const Decisions after = PlanOf(drawing);
    for (const auto& [job, decision] : before) {
      SCOPED_TRACE(job);
      EXPECT_EQ(after.at(job).board, decision.board);
      EXPECT_NEAR(after.at(job).start_hours, decision.start_hours, 0.25 + 1e-9);
    }
  }
}

}  // namespace
}  // namespace wattle::scheduler
