// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A valid measured row of a fine-tune, for tests.
#ifndef WATTLE_SCHEDULER_PROFILES_TESTING_ROW_FOR_TEST_H_
#define WATTLE_SCHEDULER_PROFILES_TESTING_ROW_FOR_TEST_H_

#include <string>

#include "proto/testing/gpt2_shape_for_test.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// A row of `runs` runs on board `device_id` (empty: the class's row) of class board-a at 10 W.
inline v1::ProfileRow RowForTest(const std::string& device_id, double seconds_per_unit,
                                 int runs = 5) {
  v1::ProfileRow row;
  row.set_device_class("board-a");
  row.set_device_id(device_id);
  row.set_source(v1::PROFILE_SOURCE_MEASURED);
  row.mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
  *row.mutable_signature()->mutable_model() = Gpt2Shape(6, 384);
  row.mutable_signature()->set_batch_size(8);
  row.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  row.mutable_seconds_per_unit()->set_mean(seconds_per_unit);
  row.mutable_seconds_per_unit()->set_count(runs);
  row.mutable_power_watts()->set_mean(10);
  row.mutable_power_watts()->set_count(runs);
  row.mutable_energy_joules_per_unit()->set_mean(10 * seconds_per_unit);
  row.mutable_energy_joules_per_unit()->set_count(runs);
  return row;
}

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_TESTING_ROW_FOR_TEST_H_
