// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A planning problem and a plan as plain values: indices for names, integers for amounts. Planners
// state their problems with these types, and check_plan.h checks the answer. Pure.
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
  int supply = kNoCap;             // Index in Instance::supplies.
  std::vector<Interval> closed{};  // Times without work: closed windows, drains, other work.
};

// One way to run a job: a device in one power mode.
struct JobOption {
  int device = 0;
  int mode = 0;
  Draw draw{};
  Millijoules cost = 0;           // The option's cost in a plan; the draw may count other joules.
  Millijoules cost_per_hour = 0;  // Added for each hour that the job waits.
};

inline constexpr int kBesideAny = -1;
struct InstanceJob {
  Seconds released = 0;  // The job does not exist earlier.
  std::optional<Seconds> latest_start{};
  std::optional<Seconds> deadline{};
  std::vector<JobOption> options{};
  int group = kBesideAny;          // Index in Instance::groups.
  Millijoules left_out_price = 0;  // The cost if the job never runs or ends late.
};

// Jobs of a group run apart: no two of them run in one place.
struct InstanceGroup {
  std::vector<int> places{};  // The place of each device, such as a board shared by devices: from
                              // 0, below the number of devices.
};

// A run that continues regardless of the plan: it draws power, and a plan is not at fault for it.
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
  Seconds start_step = 1;  // A job starts at a multiple of this.
};

// A plan's entry for one job.
struct Planned {
  static constexpr int kLeftOut = -1;

  int job = 0;
  int device = kLeftOut;  // kLeftOut: the job never runs, and mode and start are meaningless.
  int mode = 0;
  Seconds start = 0;
  bool in_time = false;  // The plan's claim that the job runs, and ends by its deadline if it has
                         // one.
};

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_INSTANCE_H_
