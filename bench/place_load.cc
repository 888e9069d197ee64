// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Load generator of ./dev bench place. Draws a small fleet with real sun, and plans it with the
// shipped planner, with the same planner where it may put no job off, with four lists, and with
// MOVES moves of the search from the best of these. Checks each plan with CheckPlan, and prints one
// JSON document: the instance for the solver, and each plan's cost.
// The shipped planner does not know the real sun. Its plans are checked against the paths that it
// received, and the runs that the real sun leaves below the floor are counted.
//
//   wattle-place-load SUN SEED BOARDS JOBS MOVES  SUN: W/m2 of each hour of a year, one a line
//   wattle-place-load --time BOARDS JOBS SEED     seconds of one PlanQueue on a drawn fleet, the Wh
//                                                 and hours of waiting of its places, and how many
//                                                 jobs have none; then the same of PlanQueueInOrder
//   wattle-place-load --digest SEED FLEETS BOARDS checksums of the plans of FLEETS drawn fleets,
//                                                 each of up to BOARDS boards (plan_digest.h)
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "nlohmann/json.hpp"

#include "bench/drawn_fleet.h"
#include "bench/fleet_plans.h"
#include "bench/plan_digest.h"
#include "scheduler/place/place.h"
#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/improve.h"
#include "scheduler/timetable/plan_cost.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::bench {
namespace {

using timetable::CheckPlan;
using timetable::InstanceJob;
using timetable::JobOption;
using timetable::kHour;
using timetable::Millijoules;
using timetable::PackSpec;
using timetable::Planned;
using timetable::Schedule;
using timetable::Seconds;

nlohmann::json Judge(const Fleet& fleet, absl::Span<const Planned> plan) {
  int missed = 0;
  int left_out = 0;
  Millijoules unmet = 0;  // price of jobs that did not run, or not in time
  for (const Planned& planned : plan) {
    const InstanceJob& job = fleet.instance.jobs[static_cast<size_t>(planned.job)];
    missed += job.deadline && !planned.in_time ? 1 : 0;
    left_out += planned.device == Planned::kLeftOut ? 1 : 0;
    unmet += planned.device == Planned::kLeftOut || !planned.in_time ? job.left_out_price : 0;
  }
  return {{"cost", CostOf(fleet.instance, plan)},
          {"missed", missed},
          {"left_out", left_out},
          {"unmet_cost", unmet},
          {"broken", CheckPlan(fleet.instance, plan).value_or("")}};
}

nlohmann::json InstanceJson(const Fleet& fleet) {
  nlohmann::json json;
  for (const auto& device : fleet.instance.devices) {
    json["devices"].push_back(device.pack);
  }
  json["packs"] = nlohmann::json::array();
  for (const PackSpec& pack : fleet.instance.packs) {
    json["packs"].push_back({{"capacity", pack.capacity},
                             {"charge", pack.charge},
                             {"idle", pack.idle},
                             {"floor", pack.floor[0].charge},
                             {"harvest", pack.harvest[0]}});
  }
  for (size_t job = 0; job < fleet.jobs.size(); ++job) {
    const InstanceJob& plain = fleet.instance.jobs[job];
    nlohmann::json one = {{"released", plain.released},
                          {"deadline", plain.deadline.value_or(kHorizon)},
                          {"has_deadline", plain.deadline.has_value()},
                          {"left_out_price", plain.left_out_price}};
    for (const JobOption& option : plain.options) {
      one["options"].push_back({{"device", option.device},
                                {"length", option.draw.length},
                                {"power", option.draw.power},
                                {"cost", option.cost}});
    }
    json["jobs"].push_back(one);
  }
  return json;
}

// Checks the starts of each half hour against the planner's own information. The floor under the
// real sun is not a rule for them: the sun is unknown, and the plan accepts a risk.
nlohmann::json JudgeStarted(Fleet fleet, const StartedPlan& started) {
  for (PackSpec& pack : fleet.instance.packs) {
    pack.broken_paths_max = static_cast<int>(pack.harvest.size());
  }
  nlohmann::json judged = Judge(fleet, started.plan);
  if (!started.broken.empty()) {
    judged["broken"] = started.broken;
  }
  judged["bytes_differ"] = started.bytes_differ;
  judged["runs_on_packs"] = started.runs_on_packs;
  judged["guard_stops"] = started.guard_stops;
  return judged;
}

void PrintInstance(uint64_t seed, const std::vector<double>& sun, int boards, int job_count,
                   int moves) {
  Dice dice(seed);
  Fleet fleet = DrawFleet(dice, sun, boards, job_count);
  AddWaysAndDeadlines(dice, fleet);
  const std::vector<InstanceJob>& jobs = fleet.instance.jobs;
  const auto deadline = [&jobs](size_t job) {
    return static_cast<double>(jobs[job].deadline.value_or(10 * kHorizon));
  };
  const auto shortest = [&jobs](size_t job) {
    Seconds least = kHorizon;
    for (const JobOption& option : jobs[job].options) {
      least = std::min(least, option.draw.length);
    }
    return static_cast<double>(least);
  };
  nlohmann::json plans;
  plans["shipped"] = JudgeStarted(fleet, PlanByShipped(fleet));
  Fleet wanted_soon = fleet;  // all jobs are urgent, so none is put off
  for (scheduler::JobView& job : wanted_soon.jobs) {
    job.spec.set_priority(job.spec.priority() + 1);
  }
  plans["shipped_in_turn"] = JudgeStarted(fleet, PlanByShipped(wanted_soon));
  std::optional<Schedule> best;
  const auto list = [&](const char* name, const std::function<double(size_t job)>& rank) {
    const Schedule schedule = PlanByList(fleet, rank);
    plans[name] = Judge(fleet, schedule.plan());
    if (!best.has_value() || schedule.cost() < best->cost()) {
      best = schedule;
    }
  };
  list("priority", [&](size_t job) {
    return static_cast<double>(jobs[job].released) - kHour * fleet.jobs[job].spec.priority();
  });
  list("edf", deadline);
  plans["edf_as_jobs_arrive"] =
      JudgeStarted(fleet, PlanByListAsJobsArrive(fleet, deadline, ListRisk::kNone));
  plans["edf_at_risk"] =
      JudgeStarted(fleet, PlanByListAsJobsArrive(fleet, deadline, ListRisk::kAsPlanner));
  list("slack", [&](size_t job) {
    return deadline(job) - static_cast<double>(jobs[job].released) - shortest(job);
  });
  list("longest", [&](size_t job) { return -shortest(job); });
  const std::clock_t begin = std::clock();  // processor time
  const Schedule improved = Improve(fleet.instance, *best, {.moves = moves, .seed = seed});
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  plans["search"] = Judge(fleet, improved.plan());
  const nlohmann::json document = {{"seed", seed},
                                   {"instance", InstanceJson(fleet)},
                                   {"plans", plans},
                                   {"search_seconds", seconds}};
  std::printf("%s\n", document.dump().c_str());
}

// The Wh and the hours of waiting of all places, and how many jobs have none.
void PrintTotals(const std::vector<scheduler::QueuePlacement>& plan) {
  double watt_hours = 0;
  double hours = 0;
  int without = 0;
  for (const scheduler::QueuePlacement& placed : plan) {
    if (placed.placement.device_id().empty()) {
      ++without;
      continue;
    }
    watt_hours += placed.placement.best(0).marginal_energy_joules() / kHour;
    hours += placed.placement.best(0).start_in_seconds() / kHour;
  }
  std::printf(" %.1f %.1f %d", watt_hours, hours, without);
}

void PrintTime(int devices, int jobs, uint64_t seed) {
  Dice dice(seed);
  Fleet fleet = DrawFleet(dice, std::vector<double>(8760, 0), devices, jobs);
  for (scheduler::JobView& job : fleet.jobs) {
    job.spec.set_deadline_seconds(dice.Between(1, 48) * kHour);
  }
  const scheduler::Snapshot snapshot = FreshSnapshot(fleet);
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<scheduler::QueuePlacement> placements = scheduler::PlanQueue(snapshot);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("%zu %zu %.6f", snapshot.devices.size(), placements.size(), seconds.count());
  PrintTotals(placements);
  PrintTotals(scheduler::PlanQueueInOrder(snapshot));
  std::printf("\n");
}

std::vector<double> ReadSun(const std::string& path) {
  std::ifstream file(path);
  std::vector<double> sun;
  for (double irradiance = 0; file >> irradiance;) {
    sun.push_back(irradiance);
  }
  if (sun.empty()) {
    std::fprintf(stderr, "%s: has no numbers; wanted the W/m2 of each hour of a year\n",
                 path.c_str());
  }
  return sun;
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 4 && arguments[0] == "--time") {
    PrintTime(std::atoi(arguments[1].c_str()), std::atoi(arguments[2].c_str()),
              std::strtoull(arguments[3].c_str(), nullptr, 10));
    return 0;
  }
  if (arguments.size() == 4 && arguments[0] == "--digest") {
    PrintDigests(std::strtoull(arguments[1].c_str(), nullptr, 10), std::atoi(arguments[2].c_str()),
                 std::atoi(arguments[3].c_str()));
    return 0;
  }
  if (arguments.size() != 5) {
    std::fprintf(stderr,
                 "usage: wattle-place-load SUN SEED BOARDS JOBS MOVES | --time BOARDS JOBS SEED | "
                 "--digest SEED FLEETS BOARDS\n");
    return 2;
  }
  const std::vector<double> sun = ReadSun(arguments[0]);
  if (sun.empty()) {
    return 1;
  }
  PrintInstance(std::strtoull(arguments[1].c_str(), nullptr, 10), sun,
                std::atoi(arguments[2].c_str()), std::atoi(arguments[3].c_str()),
                std::atoi(arguments[4].c_str()));
  return 0;
}

}  // namespace
}  // namespace wattle::bench

int main(int count, char** arguments) {
  return wattle::bench::Main(std::vector<std::string>(arguments + 1, arguments + count));
}
