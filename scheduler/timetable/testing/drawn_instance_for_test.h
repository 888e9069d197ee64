// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Small drawn instances for the tests of plans: boards with and without packs and supplies, jobs
// with and without deadlines.
#ifndef WATTLE_SCHEDULER_TIMETABLE_TESTING_DRAWN_INSTANCE_FOR_TEST_H_
#define WATTLE_SCHEDULER_TIMETABLE_TESTING_DRAWN_INSTANCE_FOR_TEST_H_

#include <cstdint>
#include <vector>

#include "scheduler/timetable/instance.h"

namespace wattle::timetable {

inline Instance DrawInstance(unsigned seed, int devices, int jobs, Seconds step) {
  constexpr Seconds kHours = 12;
  constexpr Millijoules kWattHour = 3'600'000;
  uint64_t state = seed;
  // D. Knuth's MMIX generator; the low bits of it are poor.
  const auto below = [&state](int bound) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<int>((state >> 33) % static_cast<uint64_t>(bound));
  };
  Instance instance;
  instance.end = kHours * kHour;
  instance.start_step = step;
  for (int device = 0; device < devices; ++device) {
    InstanceDevice& one = instance.devices.emplace_back();
    if (below(2) == 0) {
      one.pack = static_cast<int>(instance.packs.size());
      PackSpec pack;
      pack.capacity = (10 + below(20)) * kWattHour;
      pack.charge = pack.capacity * (30 + below(70)) / 100;
      pack.idle = 500 + below(1500);
      pack.floor = {{.from = 0, .charge = pack.capacity / 5}};
      for (Seconds hour = 0; hour < kHours; ++hour) {
        pack.harvest.resize(1);
        pack.harvest[0].push_back(below(2) == 0 ? 0 : below(8000));
      }
      instance.packs.push_back(pack);
    }
    if (below(3) == 0) {
      const Seconds begin = kHour * below(8);
      one.closed = {{begin, begin + kHour * (1 + below(3))}};
    }
  }
  for (int job = 0; job < jobs; ++job) {
    InstanceJob& one = instance.jobs.emplace_back();
    one.released = step * below(static_cast<int>(4 * kHour / step));
    const Seconds length = 900 + below(3 * static_cast<int>(kHour));
    if (below(2) == 0) {
      one.deadline = one.released + 2 * length + below(4 * static_cast<int>(kHour));
    }
    for (int device = 0; device < devices; ++device) {
      const Seconds own = length * (50 + below(100)) / 100;
      const Milliwatts power = 2000 + below(6000);
      one.options.push_back({.device = device,
                             .draw = {.length = own, .power = power},
                             .cost = own * power,
                             .cost_per_hour = own * power / 100});
    }
    one.left_out_price = (20 + below(40)) * kWattHour;
  }
  if (below(2) == 0) {
    instance.supplies = {{.cap = 5000 + below(8000), .idle = 1000}};
    for (InstanceDevice& device : instance.devices) {
      device.supply = below(3) == 0 ? kNoCap : 0;
    }
  }
  return instance;
}

// Lets two of three jobs run apart, in one of two groups. The first two devices are one place of
// the second group.
inline void SetAntiAffinity(unsigned seed, Instance& instance) {
  std::vector<int> own;
  for (size_t device = 0; device < instance.devices.size(); ++device) {
    own.push_back(static_cast<int>(device));
  }
  std::vector<int> shared = own;
  shared.at(1) = shared.at(0);
  instance.groups = {{.places = own}, {.places = shared}};
  for (InstanceJob& job : instance.jobs) {
    job.group = static_cast<int>(seed++ % 3) - 1;
  }
}

}  // namespace wattle::timetable

#endif  // WATTLE_SCHEDULER_TIMETABLE_TESTING_DRAWN_INSTANCE_FOR_TEST_H_
