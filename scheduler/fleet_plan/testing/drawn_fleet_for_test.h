// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fleets for tests and benches, drawn from a seed: device classes with one or two modes, work
// classes with labels and artifacts, devices with charge, sun, cache and rows of their own, jobs
// with deadlines. The same seed draws the same fleet everywhere.
#ifndef WATTLE_SCHEDULER_FLEET_PLAN_TESTING_DRAWN_FLEET_FOR_TEST_H_
#define WATTLE_SCHEDULER_FLEET_PLAN_TESTING_DRAWN_FLEET_FOR_TEST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "scheduler/fleet_plan/fleet.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/harvest_paths.h"

namespace wattle::fleet_plan {

struct DrawnFleetShape {
  int devices = 6;
  int jobs = 20;
  int device_classes = 3;
  int work_classes = 5;
  int hours = 24;             // Length of the horizon.
  int measured_percent = 30;  // Share of devices with rows of their own.
  int deadline_percent = 60;  // Share of jobs with a deadline.
  int run_minutes_max = 120;  // Longest run of a typical job on a typical device.
  int deadline_hours_max = 20;
  bool shares_power = true;  // Some boards share a pack or a supply.
  // W/m2 on a level surface for each hour of a year; empty: a sine for each day.
  std::vector<double> sun{};
};

class FleetDrawer {
 public:
  FleetDrawer(uint64_t seed, const DrawnFleetShape& shape) : state_(seed), shape_(shape) {}

  Fleet Draw() {
    fleet_.now = 1'800'000'000 + Below(timetable::kHour);
    fleet_.end = (fleet_.now / timetable::kHour + shape_.hours) * timetable::kHour;
    for (int i = 0; i < shape_.device_classes; ++i) {
      fleet_.device_classes.push_back({.memory_bytes = (4 + Below(28)) * kGib});
      speed_percent_.push_back(40 + Below(260));
      watts_percent_.push_back(60 + Below(140));
      modes_.push_back(1 + static_cast<int>(Below(2)));
    }
    for (int i = 0; i < shape_.work_classes; ++i) {
      fleet_.work_classes.push_back(
          {.artifact = static_cast<int>(Below(std::max(1, shape_.work_classes / 5))),
           .artifact_bytes = (50 + Below(1000)) * 1'000'000,
           .wanted_labels = Below(10) < 7 ? 0 : uint64_t{1} << Below(4)});
      DrawRates();
    }
    for (int i = 0; i < shape_.devices; ++i) {
      DrawDevice();
    }
    DrawSupplies();
    for (int i = 0; i < shape_.jobs; ++i) {
      fleet_.jobs.push_back(DrawJob());
    }
    return std::move(fleet_);
  }

  int64_t Below(int64_t bound) {
    // D. Knuth's MMIX generator; the low bits of it are poor.
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<int64_t>((state_ >> 33) % static_cast<uint64_t>(bound));
  }

  // A plausible state of one board's pack.
  timetable::PackSpec DrawPack() {
    timetable::PackSpec pack;
    pack.now = fleet_.now;
    pack.first_hour = fleet_.now / timetable::kHour * timetable::kHour;
    pack.capacity = (40 + Below(160)) * kWattHour;
    pack.charge = pack.capacity * (20 + Below(80)) / 100;
    pack.idle = 1000 + Below(1500);
    pack.floor = {{.from = 0, .charge = pack.capacity * 3 / 10}};
    const int64_t panel_milliwatts = 10'000 + Below(50'000);
    const auto first = static_cast<size_t>(Below(8760));
    std::vector<Milliwatts> mean;
    for (size_t hour = 0; hour < static_cast<size_t>(shape_.hours); ++hour) {
      mean.push_back(panel_milliwatts * SunAt(first + hour) / 1000);
    }
    pack.harvest = {timetable::HarvestPath({.expected = mean}, /*darker_paths=*/1)};
    return pack;
  }

 private:
  static constexpr int64_t kGib = int64_t{1} << 30;
  static constexpr Millijoules kWattHour = 3'600'000;

  // Thousandths of 1,000 W/m2.
  [[nodiscard]] int64_t SunAt(size_t hour) const {
    if (!shape_.sun.empty()) {
      return static_cast<int64_t>(shape_.sun[hour % shape_.sun.size()]);
    }
    static constexpr int64_t kDay[24] = {0,   0,   0,   0,   0,   10,  80, 200, 350, 500, 620, 690,
                                         700, 680, 600, 480, 330, 180, 60, 5,   0,   0,   0,   0};
    return kDay[hour % 24];
  }

  static Amount Around(int64_t mean, int64_t percent) {
    return {
        .low = mean * (100 - percent) / 100, .mean = mean, .high = mean * (100 + percent) / 100};
  }

  Rate DrawRate(size_t device_class, int mode, int64_t typical_seconds) {
    const int64_t wide = 5 + Below(25);
    int64_t seconds = typical_seconds * (70 + Below(80)) / speed_percent_[device_class];
    int64_t milliwatts = 80 * watts_percent_[device_class];
    if (mode == 1) {
      seconds = seconds * 7 / 10;
      milliwatts = milliwatts * 17 / 10;
    }
    const int64_t start = 20 + Below(60);
    return {.form = {.mode = mode, .quantization = 0, .batch = 8},
            .peak_memory_bytes = peak_memory_bytes_,
            .of_a_run = {.seconds = Around(start, 20),
                         .millijoules = Around(start * milliwatts / 2, 20)},
            .of_1000_units = {.seconds = Around(std::max<int64_t>(1, seconds), wide),
                              .millijoules = Around(seconds * milliwatts, wide)}};
  }

  void DrawRates() {
    typical_seconds_.push_back(60 * (5 + Below(shape_.run_minutes_max)));
    peak_memory_bytes_ = (1 + Below(16)) * kGib;
    for (size_t device_class = 0; device_class < modes_.size(); ++device_class) {
      std::vector<Rate>& rates = fleet_.rates.emplace_back();
      for (int mode = 0; mode < modes_[device_class]; ++mode) {
        rates.push_back(DrawRate(device_class, mode, typical_seconds_.back()));
      }
    }
  }

  void DrawDevice() {
    Device& device = fleet_.devices.emplace_back();
    device.device_class = static_cast<int>(Below(shape_.device_classes));
    device.labels = static_cast<uint64_t>(Below(16));
    device.link_bytes_per_second = 500'000 + Below(4'000'000);
    for (int64_t count = Below(4); count > 0; --count) {
      device.cached.push_back(static_cast<int>(Below(std::max(1, shape_.work_classes / 5))));
    }
    std::sort(device.cached.begin(), device.cached.end());
    if (Below(2) == 0) {
      device.closed.push_back({fleet_.now, fleet_.now + 60 + Below(2 * timetable::kHour)});
    }
    if (Below(10) == 0) {
      const Seconds begin = fleet_.now + (3 + Below(8)) * timetable::kHour;
      device.closed.push_back({begin, begin + (1 + Below(12)) * timetable::kHour});
    }
    if (Below(10) < 6) {
      device.pack = static_cast<int>(fleet_.packs.size());
      if (shape_.shares_power && !fleet_.packs.empty() && Below(8) == 0) {
        device.pack -= 1;
        fleet_.packs.back().idle += 1000;
      } else {
        fleet_.packs.push_back(DrawPack());
      }
    }
    if (Below(100) < shape_.measured_percent) {
      DrawOwnRates(device);
    }
  }

  void DrawOwnRates(Device& device) {
    std::vector<int> measured;
    for (int64_t count = std::min<int64_t>(shape_.work_classes, 5 + Below(36)); count > 0;
         --count) {
      measured.push_back(static_cast<int>(Below(shape_.work_classes)));
    }
    std::sort(measured.begin(), measured.end());
    measured.erase(std::unique(measured.begin(), measured.end()), measured.end());
    for (const int work_class : measured) {
      peak_memory_bytes_ =
          fleet_.RatesOf(work_class, device.device_class).front().peak_memory_bytes;
      device.own.push_back({.work_class = work_class,
                            .rate = DrawRate(static_cast<size_t>(device.device_class), 0,
                                             typical_seconds_[static_cast<size_t>(work_class)])});
    }
  }

  // Neighbours share a supply.
  void DrawSupplies() {
    for (size_t device = 0; shape_.shares_power && device + 3 < fleet_.devices.size();
         device += 10) {
      for (size_t member = device; member < device + 3; ++member) {
        fleet_.devices[member].supply = static_cast<int>(fleet_.supplies.size());
      }
      fleet_.supplies.push_back({.cap = 12'000 + Below(15'000), .idle = 4'000});
    }
  }

  Job DrawJob() {
    Job job;
    job.work_class = static_cast<int>(Below(shape_.work_classes));
    job.units = 200 + Below(1600);
    job.priority = static_cast<int>(Below(3)) * 50;
    job.released = fleet_.now + (Below(4) == 0 ? Below(4 * timetable::kHour) : 0);
    if (Below(100) < shape_.deadline_percent) {
      job.deadline =
          job.released + timetable::kHour / 2 + Below(shape_.deadline_hours_max * timetable::kHour);
    }
    Millijoules dearest = 0;
    for (int device_class = 0; device_class < shape_.device_classes; ++device_class) {
      for (const Rate& rate : fleet_.RatesOf(job.work_class, device_class)) {
        dearest = std::max(dearest, EstimateOf(rate, job.units).millijoules.mean);
      }
    }
    job.left_out_price = dearest + (60 + job.priority) * kWattHour;
    return job;
  }

  uint64_t state_;
  DrawnFleetShape shape_;
  Fleet fleet_;
  std::vector<int64_t> speed_percent_;    // For each device class.
  std::vector<int64_t> watts_percent_;    // For each device class.
  std::vector<int> modes_;                // For each device class.
  std::vector<int64_t> typical_seconds_;  // For 1,000 units of each work class.
  int64_t peak_memory_bytes_ = 0;         // Memory of the work class being drawn.
};

}  // namespace wattle::fleet_plan

#endif  // WATTLE_SCHEDULER_FLEET_PLAN_TESTING_DRAWN_FLEET_FOR_TEST_H_
