// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plays first jobs of boards to the predictor, as a coordinator does with heartbeats and receipts:
// predicts a job, learns from its first steps once they are enough, predicts it again, and learns
// from its receipt. bench/predict.py draws the jobs and judges the predictions.
//
// Reads lines
//   job CLASS BOARD KIND BATCH LENGTH EXAMPLES   answers "TOKENS STEPS SECONDS LOW HIGH"
//   run WATTS S1 S2 …     seconds of the job's steps one by one; answers "SECONDS LOW HIGH PROBED"
//                         of the prediction after the probe, PROBED the seconds until then; 0: the
//                         job ended before it
// KIND is finetune or evaluate. The job of a "run" is the one of the line before.
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "absl/time/time.h"

#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace {

using wattle::scheduler::ProfileTable;
using wattle::scheduler::WorkAmount;
namespace v1 = wattle::v1;

// Like the worker: a first step that is shorter is warm-up.
constexpr double kWarmUpMaxSeconds = 5;

struct Job {
  v1::Device device;
  WorkAmount work;
  std::string attempt;
  v1::Prediction predicted;
};

WorkAmount WorkOfLine(std::istream& in) {
  std::string kind;
  int batch = 0;
  int length = 0;
  int64_t examples = 0;
  in >> kind >> batch >> length >> examples;
  v1::JobSpec spec;
  const auto fill = [&](auto& job) {
    *job.mutable_model_shape() = wattle::Gpt2Shape(12, 768);
    job.mutable_data_shape()->set_examples(examples);
    job.mutable_data_shape()->set_mean_tokens_per_example(length);
    job.set_batch_size(batch);
    job.set_sequence_length(length);
  };
  if (kind == "finetune") {
    fill(*spec.mutable_finetune());
  } else {
    fill(*spec.mutable_evaluate());
  }
  return wattle::scheduler::WorkOf(spec, {}, ProfileTable()).value();
}

void Print(const v1::Interval& seconds) {
  std::printf("%.17g %.17g %.17g", seconds.mean(), seconds.low(), seconds.high());
}

v1::Receipt ReceiptOf(const Job& job, double seconds, double watts) {
  v1::Receipt receipt;
  receipt.set_attempt_id(job.attempt);
  *receipt.mutable_predicted() = job.predicted;
  receipt.mutable_run()->set_seconds(seconds);
  receipt.mutable_run()->set_mean_power_watts(watts);
  receipt.mutable_run()->set_coverage_ratio(1);
  receipt.mutable_run()->set_source(v1::ENERGY_SOURCE_INA3221);
  v1::WorkDone& done = *receipt.mutable_work();
  *done.mutable_signature() = job.work.signature;
  done.set_unit(job.work.unit);
  done.set_units(job.work.units);
  return receipt;
}

// Learns from the steps so far if there are enough; returns whether it did.
bool Probe(const Job& job, const v1::SteadyWork& steady, absl::Time now, ProfileTable& table) {
  const auto row =
      wattle::scheduler::LearnFromSteadyWork({.attempt_id = job.attempt,
                                              .device = job.device.info(),
                                              .power_mode = "",
                                              .signature = job.work.signature,
                                              .unit = job.work.unit,
                                              .tokens_per_example = job.work.tokens_per_example},
                                             steady, now);
  return row.has_value() && table.Put(*row).ok();
}

}  // namespace

int main() {
  ProfileTable table = ProfileTable::Priors();
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  Job job;
  int jobs = 0;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string word;
    in >> word;
    if (word == "job") {
      job.device.Clear();
      in >> *job.device.mutable_info()->mutable_device_class() >>
          *job.device.mutable_info()->mutable_device_id();
      job.work = WorkOfLine(in);
      job.attempt = "j" + std::to_string(++jobs) + ".1";
      job.predicted = wattle::scheduler::Predict(table, job.device, job.work, {});
      std::printf("%.17g %.17g ", job.work.units, job.work.steps);
      Print(job.predicted.run_seconds());
      std::printf("\n");
      std::fflush(stdout);
      continue;
    }
    double watts = 0;
    in >> watts;
    const double tokens_per_step = job.work.units / job.work.steps;
    double total = 0;
    double probed = 0;
    v1::SteadyWork steady;
    for (double seconds = 0; in >> seconds;) {
      const bool warms_up = total == 0 && seconds < kWarmUpMaxSeconds;
      total += seconds;
      if (warms_up || probed > 0) {
        continue;
      }
      steady.set_seconds(steady.seconds() + seconds);
      steady.set_steps(steady.steps() + 1);
      steady.set_tokens(
          static_cast<int64_t>(tokens_per_step * static_cast<double>(steady.steps())));
      steady.set_covered_seconds(steady.seconds());
      steady.set_energy_joules(watts * steady.seconds());
      probed = Probe(job, steady, now, table) ? total : 0;
    }
    Print(wattle::scheduler::Predict(table, job.device, job.work, {}).run_seconds());
    std::printf(" %.17g\n", probed);
    std::fflush(stdout);
    now += absl::Seconds(total);
    for (const v1::ProfileRow& row : wattle::scheduler::LearnFromReceipt(
             table, job.device.info(), ReceiptOf(job, total, watts), now)) {
      if (const absl::Status put = table.Put(row); !put.ok()) {
        std::fprintf(stderr, "wattle-predict-first: %s\n", std::string(put.message()).c_str());
        return 1;
      }
    }
  }
  return 0;
}
