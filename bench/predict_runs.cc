// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plays the runs of boards to the predictor, as a coordinator does with receipts: predicts each run
// before it learns it. bench/predict.py draws the runs and judges the predictions.
//
// Reads lines "BOARD BATCH SECONDS WATTS": a fine-tune of GPT-2's shape on that board in batches of
// BATCH. Before a run it writes a line "MEAN LOW HIGH" of seconds. Boards share no rows. SECONDS 0
// only predicts.
#include <cstdio>
#include <iostream>
#include <map>
#include <string>

#include "absl/time/time.h"

#include "proto/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/job.pb.h"

namespace {

using wattle::scheduler::ProfileTable;
using wattle::scheduler::WorkAmount;
namespace v1 = wattle::v1;

WorkAmount WorkInBatchesOf(int batch) {
  v1::JobSpec spec;
  *spec.mutable_finetune()->mutable_model_shape() = wattle::Gpt2Shape(12, 768);
  spec.mutable_finetune()->mutable_data_shape()->set_examples(1000);
  spec.mutable_finetune()->mutable_data_shape()->set_mean_tokens_per_example(128);
  spec.mutable_finetune()->set_batch_size(batch);
  spec.mutable_finetune()->set_sequence_length(128);
  return wattle::scheduler::WorkOf(spec, {}, ProfileTable()).value();
}

v1::Receipt ReceiptOf(const WorkAmount& work, double seconds, double watts,
                      const v1::Prediction& predicted) {
  v1::Receipt receipt;
  receipt.set_attempt_id("j1.1");
  *receipt.mutable_predicted() = predicted;
  receipt.mutable_run()->set_seconds(seconds);
  receipt.mutable_run()->set_mean_power_watts(watts);
  receipt.mutable_run()->set_coverage_ratio(1);
  receipt.mutable_run()->set_source(v1::ENERGY_SOURCE_INA3221);
  v1::WorkDone& done = *receipt.mutable_work();
  *done.mutable_signature() = work.signature;
  done.set_unit(work.unit);
  done.set_units(work.units);
  return receipt;
}

}  // namespace

int main() {
  std::map<std::string, ProfileTable> tables;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  std::string board;
  int batch = 0;
  double seconds = 0;
  double watts = 0;
  while (std::cin >> board >> batch >> seconds >> watts) {
    ProfileTable& table = tables[board];
    v1::Device device;
    device.mutable_info()->set_device_id(board);
    device.mutable_info()->set_device_class("jetson-orin-nano");
    const WorkAmount work = WorkInBatchesOf(batch);
    const v1::Prediction prediction = wattle::scheduler::Predict(table, device, work, {});
    std::printf("%.17g %.17g %.17g\n", prediction.run_seconds().mean(),
                prediction.run_seconds().low(), prediction.run_seconds().high());
    now += absl::Seconds(seconds);
    if (seconds > 0) {
      for (const v1::ProfileRow& row : wattle::scheduler::LearnFromReceipt(
               table, device.info(), ReceiptOf(work, seconds, watts, prediction), now)) {
        if (const absl::Status put = table.Put(row); !put.ok()) {
          std::fprintf(stderr, "wattle-predict-runs: %s\n", std::string(put.message()).c_str());
          return 1;
        }
      }
    }
  }
  return 0;
}
