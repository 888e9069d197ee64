// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fleets that the search divides into parts, drawn by a test's generator.
#ifndef WATTLE_SCHEDULER_PLACE_TESTING_DRAWN_LARGE_FLEET_FOR_TEST_H_
#define WATTLE_SCHEDULER_PLACE_TESTING_DRAWN_LARGE_FLEET_FOR_TEST_H_

#include <string>

#include "absl/strings/str_cat.h"

#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {

// A fine-tune of 3.6 million tokens: 10 h at 0.01 s a token. The number of layers identifies its
// workload.
inline JobView TenHourJob(const std::string& id, int layers) {
  JobView job = RealJob(id, 18'000);
  *job.inputs[0].artifact.mutable_model_shape() = Gpt2Shape(layers);
  return job;
}

// 40 boards and 60 jobs. The first 20 jobs take 1 to 5 % more on a board b, the other ones two to
// three times as much. Half of the boards b have a pack and no known sun.
template <typename Generator>
Snapshot DrawnFleet(Generator generator, ProfileTable& profiles) {
  const auto between = [&generator](double low, double high) {
    return low + (high - low) * static_cast<double>(generator() % 1000) / 1000;
  };
  const JobView kinds[] = {TenHourJob("", 12), TenHourJob("", 6)};
  Snapshot snapshot = MakeSnapshot({}, profiles);
  for (int board = 0; board < 40; ++board) {
    const bool is_b = generator() % 2 == 0;
    snapshot.devices.push_back(OrinNano(absl::StrCat("d", board)));
    if (is_b && generator() % 2 == 0) {
      SetBattery(between(110, 300), 1, &snapshot.devices.back());
    }
    Learn(snapshot.devices.back(), kinds[0], {is_b ? between(0.0101, 0.0105) : 0.01, 10}, profiles);
    Learn(snapshot.devices.back(), kinds[1], {is_b ? between(0.02, 0.03) : 0.01, 10}, profiles);
  }
  for (int job = 0; job < 60; ++job) {
    snapshot.queue.push_back(kinds[job < 20 ? 0 : 1]);
    snapshot.queue.back().id = JobId(absl::StrCat("j", job + 1));
    snapshot.queue.back().spec.set_deadline_seconds(generator() % 8 == 0 ? 90 * 3600.0 : 0);
  }
  return snapshot;
}

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_TESTING_DRAWN_LARGE_FLEET_FOR_TEST_H_
