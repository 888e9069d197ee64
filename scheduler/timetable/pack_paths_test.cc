// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A pack follows few of its paths if each path is brighter than the one before. Its answers must
// equal those of a pack that follows all paths: the paths extended by a last hour, after all work,
// in which the darkest path is the brightest.
#include <cmath>
#include <optional>
#include <random>
#include <vector>

#include "gtest/gtest.h"

#include "scheduler/timetable/harvest_paths.h"
#include "scheduler/timetable/pack.h"

namespace wattle::timetable {
namespace {

constexpr Seconds kToldHours = 30;
constexpr Seconds kSince = 1'800'000'000 / kHour * kHour;

class Drawing {
 public:
  explicit Drawing(unsigned seed) : generator_(seed) {}
  int64_t Below(int64_t bound) { return static_cast<int64_t>(generator_()) % bound; }

 private:
  std::mt19937 generator_;
};

PackSpec DrawSunnyPack(Drawing& drawing) {
  PackSpec spec;
  spec.first_hour = kSince;
  spec.now = kSince + drawing.Below(kHour);
  spec.capacity = 100'000'000 + drawing.Below(200'000'000);
  spec.charge = spec.capacity / 4 + drawing.Below(spec.capacity * 3 / 4);
  spec.idle = 500 + drawing.Below(1500);
  for (Seconds from = spec.now - 100; drawing.Below(3) > 0; from += 1 + drawing.Below(9 * kHour)) {
    spec.floor.push_back({.from = from, .charge = drawing.Below(spec.capacity / 3)});
  }
  SunOutlook outlook;
  const Milliwatts noon = 1000 + drawing.Below(12'000);
  const int64_t dawn = drawing.Below(24);
  for (int64_t hour = 0; hour < kToldHours; ++hour) {
    const double up = std::sin((static_cast<double>(dawn + hour) - 6) * 3.14159 / 12);
    outlook.expected.push_back(static_cast<Milliwatts>(static_cast<double>(noon) * up * (up > 0)));
  }
  if (drawing.Below(2) == 0) {
    outlook.seen = drawing.Below(2000);
    outlook.hours_until_night = static_cast<size_t>(drawing.Below(9));
  }
  outlook.spread = 200 + drawing.Below(801);
  spec.harvest = HarvestPaths(outlook);
  spec.broken_paths_max = static_cast<int>(drawing.Below(9));
  return spec;
}

Demand DrawUnsureDemand(int job, const PackSpec& spec, Drawing& drawing) {
  const Milliwatts power = drawing.Below(9000);
  const Seconds length = 60 + drawing.Below(5 * kHour);
  return {.job = job,
          .begin = spec.now + drawing.Below((kToldHours - 1) * kHour - length),
          .draw = {.length = length,
                   .power = power,
                   .deviation = drawing.Below(2) * drawing.Below(power / 2 + 1),
                   .at_start = drawing.Below(2) * drawing.Below(4'000'000),
                   .held_back = drawing.Below(2) * drawing.Below(5'000'000)}};
}

// The paths with one more hour; crossed: in it the first path has the most sun.
Pack WithLastHour(PackSpec spec, bool crossed) {
  const auto paths = static_cast<Milliwatts>(spec.harvest.size());
  for (Milliwatts path = 0; path < paths; ++path) {
    spec.harvest[static_cast<size_t>(path)].push_back(crossed ? paths - path : path);
  }
  return Pack(std::move(spec));
}

// A fit that ends after the hours that both packs share counts as none.
std::optional<Seconds> EarliestShared(const Pack& pack, const Draw& draw, Seconds after) {
  const std::optional<Seconds> begin = pack.EarliestFit(draw, after);
  return begin.has_value() && *begin + draw.length <= kSince + kToldHours * kHour ? begin
                                                                                  : std::nullopt;
}

// The pack if it were full at `begin` and had no work.
Pack FullAt(Seconds begin, const PackSpec& spec) {
  PackSpec full = spec;
  full.now = begin;
  full.charge = full.capacity;
  const Seconds hours = (begin - full.first_hour) / kHour;
  full.first_hour += hours * kHour;
  for (std::vector<Milliwatts>& path : full.harvest) {
    path.erase(path.begin(), path.begin() + hours);
  }
  return Pack(std::move(full));
}

struct Answers {
  int fits = 0;
  int refusals = 0;
  int later = 0;
  int fits_when_full = 0;
  int never_fits = 0;
  int risky = 0;   // Some paths are broken, but not more than allowed.
  int broken = 0;  // More paths are broken than allowed.
};

void Ask(const Pack& nested, const Pack& crossed, const PackSpec& spec, Drawing& drawing,
         Answers& answers) {
  ASSERT_EQ(nested.broken_paths(), crossed.broken_paths());
  answers.risky += nested.broken_paths() > 0 && nested.broken_paths() <= spec.broken_paths_max;
  answers.broken += nested.broken_paths() > spec.broken_paths_max;
  for (int question = 0; question < 6; ++question) {
    const Demand demand = DrawUnsureDemand(1000, spec, drawing);
    const bool fits = crossed.Fits(demand);
    ASSERT_EQ(nested.Fits(demand), fits) << "from " << demand.begin - kSince;
    const std::optional<Seconds> begin = EarliestShared(crossed, demand.draw, demand.begin);
    ASSERT_EQ(EarliestShared(nested, demand.draw, demand.begin), begin);
    const bool fits_when_full = FullAt(demand.begin, nested.spec()).Fits(demand);
    ASSERT_EQ(nested.FitsWhenFull(demand.draw, demand.begin), fits_when_full);
    ASSERT_EQ(crossed.FitsWhenFull(demand.draw, demand.begin), fits_when_full);
    (fits_when_full ? answers.fits_when_full : answers.never_fits) += 1;
    (fits ? answers.fits : answers.refusals) += 1;
    answers.later += !fits && begin.has_value();
  }
}

TEST(PackPathsTest, APackThatLooksAtFewPathsAnswersAsOneThatLooksAtAll) {
  Answers answers;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Drawing drawing(seed);
    const PackSpec spec = DrawSunnyPack(drawing);
    Pack nested = WithLastHour(spec, /*crossed=*/false);
    Pack crossed = WithLastHour(spec, /*crossed=*/true);
    for (int job = 0; job < 5; ++job) {
      Ask(nested, crossed, spec, drawing, answers);
      const Demand demand = DrawUnsureDemand(job, spec, drawing);
      if (crossed.Fits(demand) || drawing.Below(4) == 0) {
        nested.Add(demand);
        crossed.Add(demand);
      }
      if (job > 0 && drawing.Below(4) == 0) {
        nested.Remove(job - 1);
        crossed.Remove(job - 1);
      }
    }
    const std::vector<ChargeQuantiles> hours = nested.ChargeByHour();
    const std::vector<ChargeQuantiles> all = crossed.ChargeByHour();
    ASSERT_EQ(hours.size(), all.size());
    for (size_t i = 0; i + 1 < hours.size(); ++i) {
      ASSERT_EQ(hours[i].low, all[i].low) << i;
      ASSERT_EQ(hours[i].median, all[i].median) << i;
      ASSERT_EQ(hours[i].high, all[i].high) << i;
    }
  }
  EXPECT_GT(answers.fits, 100);
  EXPECT_GT(answers.refusals, 100);
  EXPECT_GT(answers.later, 100);
  EXPECT_GT(answers.risky, 10);
  EXPECT_GT(answers.broken, 20);
  EXPECT_GT(answers.fits_when_full, 100);
  EXPECT_GT(answers.never_fits, 50);
}

}  // namespace
}  // namespace wattle::timetable
