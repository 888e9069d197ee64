// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How long the predictor takes for one pair of a workload and a device class, with a table that
// holds a row of every pair: 80 classes x 500 signatures, each of the two numbers an argument.
//
//   wattle-predict-pairs CLASSES SIGNATURES SHARE [unmeasured]
//
// SHARE of the pairs have a measured row; the others are predicted from rows of other models or
// classes. With `unmeasured` they have two rows, in two of three power modes, and the third is
// predicted from them by its clock. Every prediction is asked five times, in another order each
// time, and its time is the middle one. The time is that of the thread's own processor clock, so
// that other programs on the machine do not count; reading the clock is taken off. Writes
// "P50 P99 BUILD" in microseconds, BUILD for one row put into the table.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/spec.pb.h"

namespace {

using wattle::scheduler::ProfileTable;
using wattle::scheduler::WorkAmount;
namespace v1 = wattle::v1;

constexpr int kRepeats = 5;
constexpr int kBatches = 4;
constexpr int kLengths = 5;
constexpr unsigned kSeed = 20261120;

// This thread's processor time.
double Microseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

double MicrosecondsOfTheClock() {
  constexpr int kReadings = 10'001;
  std::vector<double> times;
  for (int i = 0; i < kReadings; ++i) {
    const double before = Microseconds();
    times.push_back(Microseconds() - before);
  }
  std::nth_element(times.begin(), times.begin() + kReadings / 2, times.end());
  return times[kReadings / 2];
}

// Models of different depth or width, each in several batches and lengths, as in a fleet.
WorkAmount WorkOfNumber(int number) {
  const int model = number / (kBatches * kLengths);
  v1::JobSpec spec;
  v1::FinetuneSpec& finetune = *spec.mutable_finetune();
  *finetune.mutable_model_shape() = wattle::Gpt2Shape(2 + model % 24, 64 * (6 + model / 24));
  finetune.mutable_data_shape()->set_examples(1000);
  const int length = 32 << (number / kBatches % kLengths);
  finetune.mutable_data_shape()->set_mean_tokens_per_example(length);
  finetune.set_sequence_length(length);
  finetune.set_batch_size(1 << (number % kBatches));
  return wattle::scheduler::WorkOf(spec, {}, ProfileTable()).value();
}

v1::ProfileRow RowOf(const std::string& device_class, const WorkAmount& work, double seconds) {
  v1::ProfileRow row;
  row.set_device_class(device_class);
  row.set_source(v1::PROFILE_SOURCE_MEASURED);
  row.set_source_note("attempt j1.1");
  *row.mutable_signature() = work.signature;
  row.set_unit(work.unit);
  row.set_units_per_example(work.units / work.examples);
  row.set_units_per_step(work.units / work.steps);
  const auto set = [](double value, v1::Statistic* statistic) {
    statistic->set_mean(value);
    statistic->set_min(value);
    statistic->set_max(value);
    statistic->set_count(3);
  };
  set(seconds, row.mutable_seconds_per_unit());
  set(8, row.mutable_power_watts());
  set(8 * seconds, row.mutable_energy_joules_per_unit());
  return row;
}

// Sets three modes; the device is in the second one.
void SetModes(v1::DeviceInfo* info) {
  for (const double watts : {7.0, 10.0, 15.0}) {
    v1::PowerMode& mode = *info->add_power_modes();
    mode.set_name(absl::StrCat(watts, "W"));
    mode.set_nominal_power_watts(watts);
    mode.set_cpu_mhz(100 * watts);
    mode.set_cores(4);
  }
  info->set_power_mode("10W");
}

// The rows of a pair: of a board with one mode, or in the modes other than the present one. Each
// pair has its own share of time that follows the clock, so that no pair's answer serves another.
void AddRows(const v1::DeviceInfo& info, const WorkAmount& work, double seconds,
             std::vector<v1::ProfileRow>* rows) {
  const double fixed = 0.1 + std::fmod(seconds * 1e6, 1);
  if (info.power_modes().empty()) {
    rows->push_back(RowOf(info.device_class(), work, seconds));
  }
  for (const v1::PowerMode& mode : info.power_modes()) {
    if (mode.name() != info.power_mode()) {
      rows->push_back(RowOf(info.device_class(), work, seconds * (fixed + 700 / mode.cpu_mhz())));
      rows->back().set_power_mode(mode.name());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool unmeasured = argc == 5 && std::string(argv[4]) == "unmeasured";
  if (argc != 4 && !unmeasured) {
    std::fprintf(stderr, "wattle-predict-pairs: wanted CLASSES SIGNATURES SHARE [unmeasured]\n");
    return 2;
  }
  const int classes = std::atoi(argv[1]);
  const int signatures = std::atoi(argv[2]);
  const double share = std::atof(argv[3]);
  std::mt19937 random(kSeed);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<WorkAmount> works;
  for (int number = 0; number < signatures; ++number) {
    works.push_back(WorkOfNumber(number));
  }
  std::vector<v1::Device> devices(classes);
  std::vector<v1::ProfileRow> rows;
  for (int of_class = 0; of_class < classes; ++of_class) {
    v1::DeviceInfo& info = *devices[of_class].mutable_info();
    info.set_device_id(absl::StrCat("device-", of_class));
    info.set_device_class(absl::StrCat("class-", of_class));
    info.set_cores(4);
    info.set_idle_power_watts(2);
    if (unmeasured) {
      SetModes(&info);
    }
    const double speed = 0.5 + uniform(random);
    for (const WorkAmount& work : works) {
      if (uniform(random) < share) {
        AddRows(info, work, 1e-3 / speed * (0.5 + uniform(random)), &rows);
      }
    }
  }
  ProfileTable table;
  const double start = Microseconds();
  for (const v1::ProfileRow& row : rows) {
    if (!table.Put(row).ok()) {
      std::fprintf(stderr, "wattle-predict-pairs: a drawn row is not valid\n");
      return 1;
    }
  }
  const double build = (Microseconds() - start) / static_cast<double>(rows.size());

  std::vector<size_t> order(devices.size() * works.size());
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
  }
  std::vector<std::vector<double>> times(order.size());
  const double of_clock = MicrosecondsOfTheClock();
  double total = 0;  // keeps the compiler from dropping predictions
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t pair : order) {
      const double asked = Microseconds();
      const v1::Prediction prediction = wattle::scheduler::Predict(
          table, devices[pair / works.size()], works[pair % works.size()], {});
      times[pair].push_back(Microseconds() - asked - of_clock);
      total += prediction.run_seconds().mean();
    }
  }
  std::vector<double> middle;
  for (std::vector<double>& of_pair : times) {
    std::nth_element(of_pair.begin(), of_pair.begin() + kRepeats / 2, of_pair.end());
    middle.push_back(of_pair[kRepeats / 2]);
  }
  std::sort(middle.begin(), middle.end());
  std::printf("%.17g %.17g %.17g\n", middle[middle.size() / 2], middle[middle.size() * 99 / 100],
              build);
  return total > 0 ? 0 : 1;
}
