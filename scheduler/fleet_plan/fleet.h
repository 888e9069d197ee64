// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A fleet and its queue as plain values: indices for names, integers for amounts. Jobs of one work
// class differ only by their amount of work and their deadline, and devices of one device class run
// them equally fast, so an estimate is stated once for (work class, device class, form). A device
// that measured a work class itself has rows of its own.
//
// Read fleet_planner.h next. Pure values: no clock, no strings, no protobuf.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_FLEET_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_FLEET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/instance.h"
#include "scheduler/timetable/pack.h"
#include "scheduler/timetable/supply.h"

namespace wattle::fleet_plan {

using timetable::Millijoules;
using timetable::Milliwatts;
using timetable::Seconds;

inline constexpr Milliwatts kFetchPower = 1500;  // The value of scheduler/predict.

// The mean, and the ends of the 90 % interval.
struct Amount {
  int64_t low = 0;
  int64_t mean = 0;
  int64_t high = 0;
};

// Time and energy of a run. millijoules: above the idle draw.
struct Estimate {
  Amount seconds;
  Amount millijoules;
};

// How a device runs a job: index of the power mode, index of the weights' format, and batch.
struct Form {
  int mode = 0;
  int quantization = 0;
  int batch = 0;

  bool operator==(const Form& other) const = default;
};

// Time and energy of a work class in one form.
struct Rate {
  Form form;
  int64_t peak_memory_bytes = 0;
  Estimate of_a_run;       // Independent of the size: start, checkpoints.
  Estimate of_1000_units;  // Added for each 1,000 units of work.
};

struct WorkClass {
  int artifact = 0;  // The model, which a device fetches before it can run the work.
  int64_t artifact_bytes = 0;
  uint64_t wanted_labels = 0;  // One bit for each label; a device must have all of them.
};

struct DeviceClass {
  int64_t memory_bytes = 0;
};

struct OwnRate {
  int work_class = 0;
  Rate rate;
};

struct Device {
  int device_class = 0;
  uint64_t labels = 0;
  int64_t link_bytes_per_second = 1;
  std::vector<int> cached{};  // Artifacts, in order.
  // Its running attempt, closed windows and drains, in order of time and without overlap.
  std::vector<timetable::Interval> closed{};
  int pack = timetable::kMains;    // Index in Fleet::packs. Several boards may share a pack.
  int supply = timetable::kNoCap;  // Index in Fleet::supplies.
  // Rates measured on this device. Each replaces its class's rate of the same work class and form.
  std::vector<OwnRate> own{};
};

struct Job {
  int work_class = 0;
  int64_t units = 0;     // Its amount of work.
  int priority = 0;      // Includes the waiting time so far.
  Seconds released = 0;  // At or after Fleet::now. The waiting time counts from here.
  std::optional<Seconds> deadline{};
  Millijoules left_out_price = 0;  // The cost of leaving the job out.
};

struct Fleet {
  Seconds now = 0;
  Seconds end = 0;         // No run ends later.
  Seconds start_step = 1;  // A run begins at a multiple.
  // The cost of each hour that a job waits, in thousandths of the run's joules.
  int64_t patience_thousandths_per_hour = 10;
  std::vector<DeviceClass> device_classes;
  std::vector<WorkClass> work_classes;
  std::vector<std::vector<Rate>> rates;  // RatesOf.
  std::vector<Device> devices;
  // Each with one path of the sun, the path that decides (harvest_paths.h).
  std::vector<timetable::PackSpec> packs;
  std::vector<timetable::SupplySpec> supplies;
  std::vector<Job> jobs;

  [[nodiscard]] const std::vector<Rate>& RatesOf(int work_class, int device_class) const {
    return rates[static_cast<size_t>(work_class) * device_classes.size() +
                 static_cast<size_t>(device_class)];
  }
};

// A decision: where, how and when a job runs.
struct Option {
  int job = 0;
  int device = 0;
  Form form;
  Seconds start = 0;
};

inline bool IsCached(const Device& device, int artifact) {
  return std::binary_search(device.cached.begin(), device.cached.end(), artifact);
}

inline int64_t Scaled(int64_t of_a_run, int64_t of_1000_units, int64_t units) {
  return of_a_run + (of_1000_units * units + 999) / 1000;
}
// The run itself, without any fetch.
Estimate EstimateOf(const Rate& rate, int64_t units);

// The job's run on the device, fetches included, as an option of an instance. Length and draw are
// the upper ends of the estimate, so that no later place moves if the run exceeds its mean. A place
// has one power, so the fetch counts with the power of the work, which errs on the safe side. The
// price uses the means.
timetable::JobOption WayOf(const Fleet& fleet, const Job& job, int device, const Rate& rate);

// The mode of WayOf: one number for each form.
int NumberOf(const Form& form);

// All rates of the device for the work class: its own, and those of its class that none of its own
// replaces.
std::vector<const Rate*> RatesOn(const Fleet& fleet, const Device& device, int work_class);

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_FLEET_H_
