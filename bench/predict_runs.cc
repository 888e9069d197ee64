// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plays the runs of fleets to the predictor, as a coordinator does with receipts: each run is
// predicted before it is learned. The benches draw the runs and judge the predictions.
//
// Reads lines
//   modes BOARD MHZ MHZ …      clocks of the board's power modes; a board without them has no modes
//   FLEET BOARD LAYERS BATCH MHZ SECONDS WATTS [given]
// A run is a fine-tune of GPT-2's shape in so many layers and batches, in the mode of this clock
// (0: the board has no modes). Fleets share no rows. Of a run it writes a line "MEAN LOW HIGH MEAN
// LOW HIGH" of seconds and joules. SECONDS 0 only predicts; the next run of the same work was then
// placed with this prediction. A run that is given was placed without one, so it scores none.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/job.pb.h"

namespace {

using wattle::scheduler::ProfileTable;
using wattle::scheduler::WorkAmount;
namespace v1 = wattle::v1;

// One run of a board, from its line.
struct Run {
  std::string fleet;
  std::string board;
  int layers = 0;
  int batch = 0;
  double mhz = 0;
  double seconds = 0;
  double watts = 0;
  std::string given;
};

WorkAmount WorkOfRun(const Run& run) {
  v1::JobSpec spec;
  *spec.mutable_finetune()->mutable_model_shape() = wattle::Gpt2Shape(run.layers, 768);
  spec.mutable_finetune()->mutable_data_shape()->set_examples(1000);
  spec.mutable_finetune()->mutable_data_shape()->set_mean_tokens_per_example(128);
  spec.mutable_finetune()->set_batch_size(run.batch);
  spec.mutable_finetune()->set_sequence_length(128);
  return wattle::scheduler::WorkOf(spec, {}, ProfileTable()).value();
}

std::string ModeName(double mhz) {
  return mhz > 0 ? absl::StrCat(mhz, "MHz") : "";
}

v1::Device DeviceOf(const Run& run, const std::vector<double>& clocks) {
  v1::Device device;
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_device_id(run.board);
  info.set_device_class(clocks.empty() ? "jetson-orin-nano" : run.board);
  for (const double mhz : clocks) {
    v1::PowerMode& mode = *info.add_power_modes();
    mode.set_name(ModeName(mhz));
    mode.set_gpu_mhz(mhz);
    info.set_accelerator("gpu");
  }
  info.set_power_mode(ModeName(run.mhz));
  return device;
}

v1::Receipt ReceiptOf(const Run& run, const WorkAmount& work, const v1::Prediction& predicted) {
  v1::Receipt receipt;
  receipt.set_power_mode(ModeName(run.mhz));
  receipt.set_attempt_id("j1.1");
  *receipt.mutable_predicted() = predicted;
  receipt.mutable_run()->set_seconds(run.seconds);
  receipt.mutable_run()->set_mean_power_watts(run.watts);
  receipt.mutable_run()->set_coverage_ratio(1);
  receipt.mutable_run()->set_source(v1::ENERGY_SOURCE_INA3221);
  v1::WorkDone& done = *receipt.mutable_work();
  *done.mutable_signature() = work.signature;
  done.set_unit(work.unit);
  done.set_units(work.units);
  return receipt;
}

void Print(const v1::Interval& interval, const char* end) {
  std::printf("%.17g %.17g %.17g%s", interval.mean(), interval.low(), interval.high(), end);
}

}  // namespace

int main() {
  std::map<std::string, std::vector<double>> clocks;  // of boards
  std::map<std::string, ProfileTable> tables;         // of fleets
  std::map<std::string, v1::Prediction> placed;       // by board and work
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    Run run;
    in >> run.fleet >> run.board;
    if (run.fleet == "modes") {
      clocks[run.board].assign(std::istream_iterator<double>(in), {});
      continue;
    }
    in >> run.layers >> run.batch >> run.mhz >> run.seconds >> run.watts >> run.given;
    ProfileTable& table = tables[run.fleet];
    const v1::Device device = DeviceOf(run, clocks[run.board]);
    const WorkAmount work = WorkOfRun(run);
    const std::string of_work =
        absl::StrCat(run.fleet, " ", run.board, " ", run.layers, " ", run.batch, " ", run.mhz);
    v1::Prediction prediction = wattle::scheduler::Predict(table, device, work, {});
    Print(prediction.run_seconds(), " ");
    Print(prediction.run_energy_joules(), "\n");
    if (run.seconds <= 0) {
      placed[of_work] = std::move(prediction);
      continue;
    }
    if (const auto earlier = placed.find(of_work); earlier != placed.end()) {
      prediction = std::move(earlier->second);
      placed.erase(earlier);
    }
    if (run.given == "given") {
      prediction.Clear();
    }
    now += absl::Seconds(run.seconds);
    for (const v1::ProfileRow& row : wattle::scheduler::LearnFromReceipt(
             table, device.info(), ReceiptOf(run, work, prediction), now)) {
      if (const absl::Status put = table.Put(row); !put.ok()) {
        std::fprintf(stderr, "wattle-predict-runs: %s\n", std::string(put.message()).c_str());
        return 1;
      }
    }
  }
  return 0;
}
