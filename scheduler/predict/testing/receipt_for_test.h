// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A fine-tune's work, the receipt of an attempt that completed a job's work, and the rows that a
// table learns from it, for tests.
#ifndef WATTLE_SCHEDULER_PREDICT_TESTING_RECEIPT_FOR_TEST_H_
#define WATTLE_SCHEDULER_PREDICT_TESTING_RECEIPT_FOR_TEST_H_

#include <cstdint>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// The work of a fine-tune on declared data with a mean of `tokens`, cut at that mean; 0: of any
// length.
inline WorkAmount DeclaredWork(const v1::ModelShape& shape, int64_t examples, double tokens,
                               int batch) {
  v1::JobSpec spec;
  *spec.mutable_finetune()->mutable_model_shape() = shape;
  spec.mutable_finetune()->mutable_data_shape()->set_examples(examples);
  spec.mutable_finetune()->mutable_data_shape()->set_mean_tokens_per_example(tokens);
  spec.mutable_finetune()->set_batch_size(batch);
  spec.mutable_finetune()->set_sequence_length(tokens > 0 ? static_cast<int>(tokens) : 0);
  return WorkOf(spec, {}, ProfileTable()).value();
}

// A run of `seconds` at `watts` that was measured without gaps.
inline v1::Receipt MeasuredReceipt(const WorkAmount& work, double seconds, double watts) {
  v1::Receipt receipt;
  receipt.set_attempt_id("j1.1");
  v1::EnergyMeasurement& run = *receipt.mutable_run();
  run.set_seconds(seconds);
  run.set_mean_power_watts(watts);
  run.set_coverage_ratio(1);
  run.set_source(v1::ENERGY_SOURCE_INA3221);
  v1::WorkDone& done = *receipt.mutable_work();
  *done.mutable_signature() = work.signature;
  done.set_unit(work.unit);
  done.set_units(work.units);
  done.set_tokens(static_cast<int64_t>(work.units));
  done.set_examples(static_cast<int64_t>(work.examples));
  done.set_steps(static_cast<int64_t>(work.steps));
  return receipt;
}

// Learns a run of the work in the board's present mode at 8 W, placed with the prediction.
inline void LearnRun(const v1::Device& board, const WorkAmount& work, double seconds,
                     const v1::Prediction& predicted, ProfileTable* table) {
  v1::Receipt receipt = MeasuredReceipt(work, seconds, 8);
  receipt.set_power_mode(board.info().power_mode());
  *receipt.mutable_predicted() = predicted;
  for (const v1::ProfileRow& row :
       LearnFromReceipt(*table, board.info(), receipt, absl::UnixEpoch())) {
    ASSERT_THAT(table->Put(row), IsOk());
  }
}

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_TESTING_RECEIPT_FOR_TEST_H_
