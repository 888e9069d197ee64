// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Measured boards and plans of queues, for tests.
#ifndef WATTLE_SCHEDULER_PLACE_TESTING_QUEUE_FOR_TEST_H_
#define WATTLE_SCHEDULER_PLACE_TESTING_QUEUE_FOR_TEST_H_

#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/device/option.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {

struct MeasuredPace {
  double seconds_per_token;
  double watts;
};

// Lets the device have run the job once.
inline void Learn(const DeviceView& view, const JobView& job, MeasuredPace pace,
                  ProfileTable& table) {
  const absl::StatusOr<WorkAmount> work = WorkOf(job.spec, job.inputs, table);
  ASSERT_THAT(work, IsOk());
  v1::Receipt receipt = MeasuredReceipt(*work, pace.seconds_per_token * work->units, pace.watts);
  receipt.mutable_run()->set_source(v1::ENERGY_SOURCE_EMULATED);
  for (const v1::ProfileRow& row : LearnFromReceipt(table, view.device.info(), receipt, kTestNow)) {
    ASSERT_THAT(table.Put(row), IsOk());
  }
}

// "j1 on id-a", "j2 waits for id-a".
inline std::vector<std::string> Summary(const std::vector<QueuePlacement>& placements) {
  std::vector<std::string> lines;
  for (const QueuePlacement& placed : placements) {
    lines.push_back(placed.job.value() + (placed.placement.wait() ? " waits for " : " on ") +
                    placed.placement.device_id());
  }
  return lines;
}

// The run of a candidate that a plan shows.
inline RunStart RunOf(const v1::Candidate& candidate) {
  return {.start_in_seconds = candidate.start_in_seconds(),
          .finish_in_seconds = candidate.finish_in_seconds(),
          .marginal_joules = candidate.marginal_energy_joules()};
}

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_TESTING_QUEUE_FOR_TEST_H_
