// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Load generator of ./dev bench place for scheduler/fleet_plan. Each command prints one JSON
// object.
//
//   wattle-fleet-plan-load draw SUN SEED DEVICES JOBS FILE
//       draws the large fleet, 80 device classes and 500 work classes, as bytes
//   wattle-fleet-plan-load plan FILE
//       plans the bytes in a fresh process, then places single jobs, and plans again after changes
//       of devices
//   wattle-fleet-plan-load fuzz SEED COUNT
//       plans small random fleets: reports broken rules, and jobs without a reason
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

#include "bench/fleet_bytes.h"
#include "scheduler/fleet_plan/check_fleet_plan.h"
#include "scheduler/fleet_plan/fleet_planner.h"
#include "scheduler/fleet_plan/plan_fleet.h"
#include "scheduler/fleet_plan/testing/drawn_fleet_for_test.h"
#include "scheduler/solve/solver.h"

namespace wattle::bench {
namespace {

using fleet_plan::Answer;
using fleet_plan::CheckFleetPlan;
using fleet_plan::Fleet;
using fleet_plan::FleetDrawer;
using fleet_plan::FleetPlanner;
using fleet_plan::Job;
using fleet_plan::Option;
using fleet_plan::PlanInOrder;
using fleet_plan::PlanningOrder;
using fleet_plan::Verdict;
using fleet_plan::WhyNoPlace;
using timetable::kHour;
using timetable::Seconds;

constexpr size_t kSingleJobs = 1000;  // the file's last jobs arrive one by one after the plan
constexpr int kReplans = 100;
constexpr int kExplained = 200;

// Wall and processor time, which differ if others use the machine.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  [[nodiscard]] double cpu_seconds() const {
    return static_cast<double>(std::clock() - cpu_begin_) / CLOCKS_PER_SEC;
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::clock_t cpu_begin_ = std::clock();
};

struct Times {
  void Add(const Stopwatch& watch) {
    wall.push_back(watch.seconds());
    cpu.push_back(watch.cpu_seconds());
  }

  std::vector<double> wall;
  std::vector<double> cpu;
};

double Percentile99(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[(values.size() * 99 + 99) / 100 - 1];
}

double PeakMib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

int CountDifferent(const FleetPlanner& plan, const FleetPlanner& again) {
  int different = 0;
  for (size_t job = 0; job < plan.plan().size(); ++job) {
    const std::optional<Option>& one = plan.place(job);
    const std::optional<Option>& other = again.place(job);
    const bool same = one.has_value() == other.has_value() &&
                      (!one || (one->device == other->device && one->form == other->form &&
                                one->start == other->start));
    different += same ? 0 : 1;
  }
  return different;
}

// One device in a hundred gets another charge, or another job in its way; jobs that lose their
// place get a new one.
void Replan(FleetDrawer& dice, Fleet& fleet, FleetPlanner& planner, Times& times) {
  std::vector<size_t> changed(std::max<size_t>(1, fleet.devices.size() / 100));
  for (size_t& device : changed) {
    device = static_cast<size_t>(dice.Below(static_cast<int64_t>(fleet.devices.size())));
    fleet_plan::Device& on = fleet.devices[device];
    on.closed = {{fleet.now, fleet.now + 60 + dice.Below(2 * kHour)}};
    if (on.pack != timetable::kMains) {
      timetable::PackSpec& pack = fleet.packs[static_cast<size_t>(on.pack)];
      pack.charge = pack.capacity * (20 + dice.Below(80)) / 100;
    }
  }
  const Stopwatch watch;
  std::vector<size_t> lost;
  for (const size_t device : changed) {
    const std::vector<size_t> of_device = planner.ChangeDevice(device);
    lost.insert(lost.end(), of_device.begin(), of_device.end());
  }
  std::sort(lost.begin(), lost.end(), [&](size_t a, size_t b) {
    const Seconds one = fleet.jobs[a].deadline.value_or(fleet.end);
    const Seconds other = fleet.jobs[b].deadline.value_or(fleet.end);
    return one != other ? one < other : a < b;
  });
  for (const size_t job : lost) {
    planner.Place(job);
  }
  times.Add(watch);
}

nlohmann::json Explain(const Fleet& fleet, const FleetPlanner& planner) {
  std::vector<double> seconds;
  int never = 0;
  for (size_t job = 0; job < fleet.jobs.size() && seconds.size() < kExplained; ++job) {
    if (!planner.place(job)) {
      const Stopwatch watch;
      never += WhyNoPlace(fleet, fleet.jobs[job]).answer == Answer::kNever ? 1 : 0;
      seconds.push_back(watch.seconds());
    }
  }
  return {{"explained", seconds.size()}, {"never", never}, {"p99_s", Percentile99(seconds)}};
}

// The plan with prices: its total seconds, and the savings.
nlohmann::json PlanByPrices(const Fleet& fleet, const FleetPlanner& planner) {
  const solve::Solver* const solver = solve::BuiltInSolver();
  if (solver == nullptr) {
    return {};
  }
  const std::clock_t begin = std::clock();
  const fleet_plan::FleetPlan plan =
      PlanFleet(fleet, solver, {.buckets = 6, .ways_max = 6, .iterations_max = 50'000});
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  return {{"cpu_s", seconds},
          {"outcome", static_cast<int>(plan.solver)},
          {"cheaper_percent",
           100 * (1 - static_cast<double>(plan.cost) / static_cast<double>(planner.cost()))}};
}

int Plan(const std::string& path) {
  const Stopwatch watch;
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Fleet fleet = FromBytes(bytes);
  const double read = watch.seconds();
  const std::vector<Job> single(fleet.jobs.end() - kSingleJobs, fleet.jobs.end());
  fleet.jobs.resize(fleet.jobs.size() - kSingleJobs);
  FleetPlanner planner = PlanInOrder(fleet, PlanningOrder(fleet));
  const double plan = watch.seconds();
  const double plan_cpu = watch.cpu_seconds();
  const double rss = PeakMib();
  size_t left_out = 0;
  size_t missed = 0;
  for (size_t job = 0; job < fleet.jobs.size(); ++job) {
    left_out += planner.place(job) ? 0 : 1;
    missed += !planner.place(job) && fleet.jobs[job].deadline ? 1 : 0;
  }
  nlohmann::json document = {{"devices", fleet.devices.size()},
                             {"jobs", fleet.jobs.size()},
                             {"read_s", read},
                             {"plan_s", plan},
                             {"plan_cpu_s", plan_cpu},
                             {"rss_mib", rss},
                             {"left_out", left_out},
                             {"missed", missed},
                             {"cost", planner.cost()},
                             {"broken", CheckFleetPlan(fleet, planner.plan()).value_or("")}};
  document["prices"] = PlanByPrices(fleet, planner);
  document["bytes_differ"] = CountDifferent(planner, PlanInOrder(fleet, PlanningOrder(fleet)));
  document["explanations"] = Explain(fleet, planner);
  Times place_one;
  for (const Job& job : single) {
    fleet.jobs.push_back(job);
    const Stopwatch one;
    planner.Place(fleet.jobs.size() - 1);
    place_one.Add(one);
  }
  document["place_one_p99_s"] = Percentile99(place_one.wall);
  document["place_one_cpu_p99_s"] = Percentile99(place_one.cpu);
  FleetDrawer dice(fleet.jobs.size(), {});
  Times replan;
  for (int round = 0; round < kReplans; ++round) {
    Replan(dice, fleet, planner, replan);
  }
  document["replan_p99_s"] = Percentile99(replan.wall);
  document["replan_cpu_p99_s"] = Percentile99(replan.cpu);
  document["broken_after"] = CheckFleetPlan(fleet, planner.plan()).value_or("");
  std::printf("%s\n", document.dump().c_str());
  return 0;
}

int Draw(const std::vector<std::string>& arguments) {
  std::ifstream sun_file(arguments[1]);
  std::vector<double> sun;
  for (double irradiance = 0; sun_file >> irradiance;) {
    sun.push_back(irradiance);
  }
  const Fleet fleet =
      FleetDrawer(std::strtoull(arguments[2].c_str(), nullptr, 10),
                  {.devices = std::atoi(arguments[3].c_str()),
                   .jobs = std::atoi(arguments[4].c_str()) + static_cast<int>(kSingleJobs),
                   .device_classes = 80,
                   .work_classes = 500,
                   .hours = 72,
                   .measured_percent = 30,
                   .deadline_percent = 100,
                   .run_minutes_max = 120,
                   .deadline_hours_max = 60,
                   .shares_power = false,
                   .sun = sun})
          .Draw();
  std::ofstream(arguments[5], std::ios::binary) << ToBytes(fleet);
  std::printf("{\"devices\": %zu}\n", fleet.devices.size());
  return 0;
}

int Fuzz(uint64_t seed, uint64_t count) {
  nlohmann::json broken = nlohmann::json::array();
  uint64_t jobs = 0;
  uint64_t never = 0;
  uint64_t not_now = 0;
  uint64_t unexplained = 0;
  uint64_t differ = 0;
  for (uint64_t one = seed; one < seed + count; ++one) {
    const Fleet fleet = FleetDrawer(one, {.devices = 1 + static_cast<int>(one % 12),
                                          .jobs = 10 + static_cast<int>(one % 31)})
                            .Draw();
    const FleetPlanner planner = PlanInOrder(fleet, PlanningOrder(fleet));
    differ +=
        static_cast<uint64_t>(CountDifferent(planner, PlanInOrder(fleet, PlanningOrder(fleet))));
    if (const std::optional<std::string> rule = CheckFleetPlan(fleet, planner.plan())) {
      broken.push_back("seed " + std::to_string(one) + ": " + *rule);
    }
    for (size_t job = 0; job < fleet.jobs.size(); ++job) {
      ++jobs;
      if (planner.place(job)) {
        continue;
      }
      const Verdict verdict = WhyNoPlace(fleet, fleet.jobs[job]);
      if (verdict.answer == Answer::kNever) {
        ++never;
      } else if (verdict.answer == Answer::kNotNow && verdict.until > fleet.now) {
        ++not_now;
      } else {
        ++unexplained;
      }
    }
  }
  const nlohmann::json document = {{"fleets", count},
                                   {"jobs", jobs},
                                   {"never", never},
                                   {"not_now", not_now},
                                   {"unexplained", unexplained},
                                   {"bytes_differ", differ},
                                   {"broken", broken}};
  std::printf("%s\n", document.dump().c_str());
  return 0;
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 6 && arguments[0] == "draw") {
    return Draw(arguments);
  }
  if (arguments.size() == 2 && arguments[0] == "plan") {
    return Plan(arguments[1]);
  }
  if (arguments.size() == 3 && arguments[0] == "fuzz") {
    return Fuzz(std::strtoull(arguments[1].c_str(), nullptr, 10),
                std::strtoull(arguments[2].c_str(), nullptr, 10));
  }
  std::fprintf(stderr,
               "usage: wattle-fleet-plan-load draw SUN SEED DEVICES JOBS FILE | plan FILE | "
               "fuzz SEED COUNT\n");
  return 2;
}

}  // namespace
}  // namespace wattle::bench

int main(int count, char** arguments) {
  return wattle::bench::Main(std::vector<std::string>(arguments + 1, arguments + count));
}
