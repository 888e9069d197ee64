// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares drawn packs with a simulation of every second, written from the rules in pack.h.
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"

#include "scheduler/timetable/pack.h"

namespace wattle::timetable {
namespace {

constexpr Seconds kHours = 3;

struct Drawn {
  PackSpec spec;
  std::vector<Demand> demands;
};

class Dice {
 public:
  explicit Dice(unsigned seed) : generator_(seed) {}
  int64_t Below(int64_t bound) { return static_cast<int64_t>(generator_()) % bound; }

 private:
  std::mt19937 generator_;
};

// A whole deviation in watts, a third of the power at most: the draw in a path then needs no
// rounding, and is never negative.
Demand DrawDemand(int job, Seconds now, Dice& dice) {
  const Milliwatts deviation = 1000 * dice.Below(2);
  return {.job = job,
          .begin = now + dice.Below(2 * kHour),
          .draw = {.length = 1 + dice.Below(kHour),
                   .power = 3 * deviation + dice.Below(deviation > 0 ? 1000 : 4000),
                   .deviation = deviation,
                   .at_start = dice.Below(2) * dice.Below(400'000),
                   .held_back = dice.Below(2) * dice.Below(500'000)}};
}

Drawn DrawInstance(unsigned seed) {
  Dice dice(seed);
  Drawn drawn;
  PackSpec& spec = drawn.spec;
  spec.first_hour = 1'800'000'000 / kHour * kHour;
  spec.now = spec.first_hour + dice.Below(kHour);
  spec.capacity = 4'000'000 + dice.Below(12'000'000);
  spec.charge = spec.capacity - dice.Below(spec.capacity / 2);
  spec.idle = dice.Below(1500);
  for (Seconds from = spec.now - 100; dice.Below(3) > 0; from += 1 + dice.Below(kHour)) {
    spec.floor.push_back({.from = from, .charge = dice.Below(spec.capacity / 2)});
  }
  for (int64_t path = 1 + dice.Below(4); path > 0; --path) {
    std::vector<Milliwatts>& hours = spec.harvest.emplace_back();
    for (int hour = 0; hour < kHours; ++hour) {
      hours.push_back(dice.Below(2) * dice.Below(6000));
    }
  }
  const bool each_is_brighter = dice.Below(2) == 0;
  for (size_t path = 1; each_is_brighter && path < spec.harvest.size(); ++path) {
    for (size_t hour = 0; hour < spec.harvest[path].size(); ++hour) {
      spec.harvest[path][hour] = std::max(spec.harvest[path][hour], spec.harvest[path - 1][hour]);
    }
  }
  spec.broken_paths_max = static_cast<int>(dice.Below(2));
  for (int job = 0; job < 3; ++job) {
    drawn.demands.push_back(DrawDemand(job, spec.now, dice));
  }
  return drawn;
}

struct Walk {
  std::set<int> broken_jobs;
  Millijoules end = 0;
};

// The path's quantile of a normal variable, in thousandths: of 1/128, 3/128 ... 127/128 the one of
// path x 37 + 11 modulo 64.
int64_t DeviationIn(size_t path) {
  const double share = static_cast<double>(2 * ((path * 37 + 11) % 64) + 1) / 128;
  double low = -10;
  double high = 10;
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < share ? low : high) = middle;
  }
  return std::llround(1000 * low);
}

Walk WalkPath(const PackSpec& spec, size_t path, const std::vector<Demand>& demands) {
  const std::vector<Milliwatts>& harvest = spec.harvest[path];
  const int64_t deviation = DeviationIn(path);
  Walk walk;
  Millijoules charge = spec.charge;
  for (Seconds at = spec.now; at < spec.first_hour + kHours * kHour; ++at) {
    Millijoules needed = 0;
    for (const FloorStep& step : spec.floor) {
      needed = step.from <= at ? step.charge : needed;
    }
    Millijoules net = harvest[static_cast<size_t>((at - spec.first_hour) / kHour)] - spec.idle;
    std::set<int> working;
    for (const Demand& demand : demands) {
      if (demand.begin <= at && at < demand.begin + demand.draw.length) {
        charge -= demand.begin == at ? demand.draw.at_start : 0;
        net -= demand.draw.power + demand.draw.deviation / 1000 * deviation;
        needed += demand.draw.held_back;
        working.insert(demand.job);
      }
    }
    if (std::min(charge, charge + net) < needed) {
      walk.broken_jobs.insert(working.begin(), working.end());
    }
    charge = std::clamp<Millijoules>(charge + net, 0, spec.capacity);
  }
  walk.end = charge;
  return walk;
}

bool FitsByWalking(const PackSpec& spec, std::vector<Demand> demands, Demand demand) {
  constexpr int kOwn = 1000;
  demand.job = kOwn;
  int broken_before = 0;
  int broken = 0;
  int own_broken = 0;
  int newly_broken = 0;
  for (size_t path = 0; path < spec.harvest.size(); ++path) {
    const std::set<int> before = WalkPath(spec, path, demands).broken_jobs;
    demands.push_back(demand);
    const std::set<int> with = WalkPath(spec, path, demands).broken_jobs;
    demands.pop_back();
    broken_before += before.empty() ? 0 : 1;
    broken += with.empty() ? 0 : 1;
    own_broken += with.count(kOwn) > 0 ? 1 : 0;
    for (const int job : with) {
      newly_broken += job != kOwn && before.count(job) == 0 ? 1 : 0;
    }
  }
  if (broken_before <= spec.broken_paths_max) {
    return broken <= spec.broken_paths_max;
  }
  return own_broken <= spec.broken_paths_max && newly_broken == 0;
}

TEST(PackOracleTest, AgreesWithAWalkThroughEverySecond) {
  int fits = 0;
  int refused = 0;
  for (unsigned seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Drawn drawn = DrawInstance(seed);
    Pack pack(drawn.spec);
    std::vector<Demand> added;
    Dice dice(seed + 100'000);
    for (const Demand& demand : drawn.demands) {
      const bool expected =
          demand.end() <= pack.horizon() && FitsByWalking(drawn.spec, added, demand);
      ASSERT_EQ(pack.Fits(demand), expected) << "job " << demand.job;
      (expected ? fits : refused) += 1;
      if (expected || dice.Below(3) == 0) {  // Now and then also one that does not fit.
        pack.Add(demand);
        added.push_back(demand);
      }
    }
    std::vector<Millijoules> ends;
    int broken = 0;
    for (size_t path = 0; path < drawn.spec.harvest.size(); ++path) {
      const Walk walk = WalkPath(drawn.spec, path, added);
      ends.push_back(walk.end);
      broken += !walk.broken_jobs.empty() ? 1 : 0;
    }
    std::sort(ends.begin(), ends.end());
    ASSERT_EQ(pack.broken_paths(), broken);
    ASSERT_EQ(pack.ChargeByHour().back().median, ends[(ends.size() + 1) / 2 - 1]);
  }
  EXPECT_GT(fits, 60);
  EXPECT_GT(refused, 60);
}

// The first start of the grid, from the asked begin on, at which the run fits.
std::optional<Seconds> FirstOfTheGrid(const Pack& pack, const Demand& asked,
                                      const std::function<bool(const Demand&)>& fits) {
  for (Seconds at = asked.begin; at + asked.draw.length <= pack.horizon(); ++at) {
    if ((at == asked.begin || at % Pack::kStartStep == 0) &&
        fits({.begin = at, .draw = asked.draw})) {
      return at;
    }
  }
  return std::nullopt;
}

TEST(PackOracleTest, TheEarliestFitIsTheFirstOfTheGrid) {
  int found = 0;
  int none = 0;
  for (unsigned seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Drawn drawn = DrawInstance(seed);
    Pack pack(drawn.spec);
    pack.Add(drawn.demands[0]);
    const Demand& asked = drawn.demands[1];
    const std::optional<Seconds> expected =
        FirstOfTheGrid(pack, asked, [&drawn](const Demand& demand) {
          return FitsByWalking(drawn.spec, {drawn.demands[0]}, demand);
        });
    ASSERT_EQ(pack.EarliestFit(asked.draw, asked.begin), expected);
    (expected ? found : none) += 1;
  }
  EXPECT_GT(found, 10);
  EXPECT_GT(none, 5);
}

// Beside pausable runs, and beside runs that break the floor by themselves, no start that fits is
// passed over.
TEST(PackOracleTest, TheEarliestFitIsTheFirstThatFits) {
  int found_beside_pausable = 0;
  int found_beside_broken = 0;
  for (unsigned seed = 1; seed <= 5000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Drawn drawn = DrawInstance(seed);
    Dice dice(seed + 200'000);
    Pack pack(drawn.spec);
    bool pausable = false;
    for (Demand reserved : {drawn.demands[0], drawn.demands[2]}) {
      reserved.draw.pausable = dice.Below(2) == 0;
      pausable |= reserved.draw.pausable;
      pack.Add(reserved);
    }
    const Demand& asked = drawn.demands[1];
    const std::optional<Seconds> expected =
        FirstOfTheGrid(pack, asked, [&pack](const Demand& demand) { return pack.Fits(demand); });
    ASSERT_EQ(pack.EarliestFit(asked.draw, asked.begin), expected);
    const bool is_later = expected.has_value() && *expected > asked.begin;
    found_beside_pausable += is_later && pausable ? 1 : 0;
    found_beside_broken += is_later && pack.broken_paths() > drawn.spec.broken_paths_max ? 1 : 0;
  }
  EXPECT_GT(found_beside_pausable, 100);
  EXPECT_GT(found_beside_broken, 50);
}

// Adding and removing a demand leaves no trace.
TEST(PackOracleTest, RemoveUndoesAdd) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Drawn drawn = DrawInstance(seed);
    Pack pack(drawn.spec);
    pack.Add(drawn.demands[0]);
    const Pack before = pack;
    pack.Add(drawn.demands[1]);
    pack.Remove(drawn.demands[1].job);
    ASSERT_EQ(pack.broken_paths(), before.broken_paths());
    ASSERT_EQ(pack.Fits(drawn.demands[2]), before.Fits(drawn.demands[2]));
    ASSERT_EQ(pack.ChargeByHour().back().low, before.ChargeByHour().back().low);
  }
}

}  // namespace
}  // namespace wattle::timetable
