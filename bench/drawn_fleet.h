// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Draws the fleets of ./dev bench place: boards with rows of their own, packs under real sun, jobs.
#ifndef WATTLE_BENCH_DRAWN_FLEET_H_
#define WATTLE_BENCH_DRAWN_FLEET_H_

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "scheduler/place/snapshot.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/timetable/instance.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::bench {

inline constexpr timetable::Seconds kSlot = timetable::kHour / 2;  // plans start at full slots
inline constexpr timetable::Seconds kHorizon = 96 * kSlot;
inline constexpr timetable::Seconds kPastHours = 7 * 24;
inline constexpr std::array<const char*, 2> kModes = {"10W", "20W"};

class Dice {
 public:
  explicit Dice(uint64_t seed) : generator_(seed) {}
  int Below(int bound) { return static_cast<int>(generator_() % static_cast<uint64_t>(bound)); }
  double Between(double low, double high) {
    return low + (high - low) * static_cast<double>(generator_() >> 11) * 0x1.0p-53;
  }

 private:
  std::mt19937_64 generator_;
};

// A drawn fleet, as the planner sees it and as plain numbers. Moments of the instance are seconds
// since `kTestNow`.
struct Fleet {
  scheduler::ProfileTable profiles;
  std::vector<scheduler::DeviceView> devices;
  std::vector<scheduler::JobView> jobs;
  std::vector<v1::Policy> policies;
  timetable::Instance instance;
  // For each pack, the harvest of the kPastHours before `kTestNow`.
  std::vector<std::vector<timetable::Milliwatts>> past_harvest;
};

// Draws the boards, their rows and packs, and jobs without options and deadlines. sun: W/m2 of each
// hour of a year.
Fleet DrawFleet(Dice& dice, const std::vector<double>& sun, int boards, int jobs);
// Adds the options of each job from the planner's own predictions, and for two jobs of three a
// deadline of 1.3 to 6 times the shortest run.
void AddWaysAndDeadlines(Dice& dice, Fleet& fleet);

}  // namespace wattle::bench

#endif  // WATTLE_BENCH_DRAWN_FLEET_H_
