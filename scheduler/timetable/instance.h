// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A planning problem and a plan as plain values: indices for names, integers for amounts. Whoever
// plans states the problem with these types, and check_plan.h judges the answer. Pure.
#ifndef WATTLE_SCHEDULER_TIMETABLE_INSTANCE_H_
#define WATTLE_SCHEDULER_TIMETABLE_INSTANCE_H_

#include <optional>
#include <vector>

#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/pack.h"
#include "scheduler/timetable/supply.h"

namespace wattle::timetable {

// [begin, end).
struct Interval {
  Seconds begin = 0;
  Seconds end = 0;
};

inline constexpr int kMains = -1;
inline constexpr int kNoCap = -1;
struct InstanceDevice {
  int pack = kMains;               // Index in Instance::packs. Several boards may share a pack.
  int supply = kNoCap;             // Index in Instance::supplies, likewise.
  std::vector<Interval> closed{};  // No work runs here: windows that are shut, drains, other work.
};

// One way to run a job: a device in one power mode.
struct JobOption {
  int device = 0;
  int mode = 0;
  Draw draw{};
  Millijoules cost = 0;           // What a plan pays for it; the draw may count other joules.
  Millijoules cost_per_hour = 0;  // And for each hour that the job waits.
};

inline constexpr int kBesideAny = -1;
struct InstanceJob {
  Seconds released = 0;  // The job is not known before.
  std::optional<Seconds> latest_start{};
  std::optional<Seconds> deadline{};
  std::vector<JobOption> options{};
  int group = kBesideAny;          // Index in Instance::groups.
  Millijoules left_out_price = 0;  // What a plan pays if the job never runs, or ends late.
};

// Jobs of a group run apart: no two of them in one place.
struct InstanceGroup {
  std::vector<int> places{};  // Of each device: what devices have in common, from 0,
                              // below the number of devices.
};

// A run that goes on, whatever is planned: it draws, and no plan can be blamed for it.
struct SettledRun {
  int pack = kMains;
  int supply = kNoCap;
  Seconds begin = 0;
  Draw draw{};
};

struct Instance {
  std::vector<InstanceDevice> devices;
  std::vector<PackSpec> packs;
  std::vector<SupplySpec> supplies{};
  std::vector<InstanceGroup> groups{};
  std::vector<SettledRun> settled{};
  std::vector<InstanceJob> jobs;
  Seconds end = 0;         // No job runs later.
  Seconds start_step = 1;  // A job starts at a multiple.
};

// What a plan says of one job.
struct Planned {
  static constexpr int kLeftOut = -1;

  int job = 0;
  int device = kLeftOut;  // kLeftOut: the job never runs, and mode and start say nothing.
  int mode = 0;
  Seconds start = 0;
  bool in_time = false;  // What the plan claims: it runs, and ends by its deadline if it has one.
};

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_INSTANCE_H_
