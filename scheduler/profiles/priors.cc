// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The published tables as rows that every coordinator starts with. The figures are those printed in
// the papers; this file computes the rates. A parameter that a paper omits (batch, sequence length,
// precision) stays a wildcard.
#include <string>

#include "absl/strings/string_view.h"

#include "base/check.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

constexpr double kJoulesPerWattHour = 3600.0;
// "Power of language-model training on edge devices", SQuAD 2.0: 10,000 training examples, 2
// epochs.
constexpr double kExamplePasses = 10000.0 * 2.0;

enum class Family { kGpt2Small, kDistilGpt2 };

struct PublishedTraining {
  absl::string_view device_class;
  Family model = Family::kGpt2Small;
  double run_seconds = 0;
  double energy_wh = 0;
  double mean_power_watts = 0;
};
// Tables 3 and 4 of that paper.
constexpr PublishedTraining kTraining[] = {
    {"jetson-xavier-nx", Family::kGpt2Small, 14561, 57.82, 14.29},
    {"jetson-orin-nano", Family::kGpt2Small, 11726, 36.33, 11.15},
    {"jetson-xavier-nx", Family::kDistilGpt2, 15896, 59.05, 13.37},
    {"jetson-orin-nano", Family::kDistilGpt2, 9414, 28.91, 11.05},
};

struct PublishedInferencePower {
  absl::string_view device_class;
  double total_power_watts = 0;
};
// Table 1 of that paper: watts of the whole board under inference. The paper gives no time.
constexpr PublishedInferencePower kInferencePower[] = {
    {"jetson-xavier-nx", 13.92},
    {"jetson-orin-nano", 10.4},
};

struct PublishedGeneration {
  absl::string_view quantization;
  double seconds = 0;  // Seconds for one prompt of seven words.
};
// "Adaptive mixed-precision quantization of DistilGPT-2 on Raspberry Pi 5": the time of one prompt.
// The paper's int4 and mixed rows are left out, because Wattle does not have their formats.
constexpr PublishedGeneration kGeneration[] = {{"none", 6.215}, {"int8", 2.7178}};

v1::ModelShape ShapeOf(Family family) {
  v1::ModelShape shape;
  shape.set_architecture("gpt2");
  shape.set_layers(family == Family::kGpt2Small ? 12 : 6);
  shape.set_width(768);
  shape.set_heads(12);
  shape.set_vocabulary_size(50257);
  shape.set_context_length(1024);
  return shape;
}

void SetStatistic(double value, v1::Statistic* statistic) {
  statistic->set_mean(value);
  statistic->set_count(1);
  statistic->set_min(value);
  statistic->set_max(value);
}

v1::ProfileRow PublishedRow(absl::string_view device_class, v1::Method method,
                            absl::string_view note) {
  v1::ProfileRow row;
  row.set_device_class(std::string(device_class));
  row.set_source(v1::PROFILE_SOURCE_PUBLISHED);
  row.set_source_note(std::string(note));
  row.mutable_signature()->set_method(method);
  row.mutable_signature()->set_engine("pytorch");
  return row;
}

void PutChecked(const v1::ProfileRow& row, ProfileTable* table) {
  const absl::Status status = table->Put(row);
  WATTLE_CHECK(status.ok(), "a built-in published row is valid");
}

ProfileTable MakePriors() {
  ProfileTable table;
  for (const PublishedTraining& published : kTraining) {
    v1::ProfileRow row = PublishedRow(published.device_class, v1::METHOD_FINETUNE_FULL,
                                      "LM training on edge devices, tables 3 and 4");
    *row.mutable_signature()->mutable_model() = ShapeOf(published.model);
    row.mutable_signature()->set_quantization("none");
    row.set_unit(v1::WORK_UNIT_EXAMPLE);
    SetStatistic(published.run_seconds / kExamplePasses, row.mutable_seconds_per_unit());
    SetStatistic(published.mean_power_watts, row.mutable_power_watts());
    SetStatistic(published.energy_wh * kJoulesPerWattHour / kExamplePasses,
                 row.mutable_energy_joules_per_unit());
    PutChecked(row, &table);
  }
  for (const PublishedInferencePower& published : kInferencePower) {
    v1::ProfileRow row =
        PublishedRow(published.device_class, v1::METHOD_GENERATE,
                     "power of language-model training on edge devices, table 1 (power alone)");
    SetStatistic(published.total_power_watts, row.mutable_power_watts());
    PutChecked(row, &table);
  }
  for (const PublishedGeneration& published : kGeneration) {
    v1::ProfileRow row =
        PublishedRow("raspberry-pi-5", v1::METHOD_GENERATE,
                     "adaptive mixed-precision quantization of DistilGPT-2 on Raspberry Pi 5");
    *row.mutable_signature()->mutable_model() = ShapeOf(Family::kDistilGpt2);
    row.mutable_signature()->set_quantization(std::string(published.quantization));
    row.set_unit(v1::WORK_UNIT_EXAMPLE);
    SetStatistic(published.seconds, row.mutable_seconds_per_unit());
    PutChecked(row, &table);
  }
  return table;
}

}  // namespace

ProfileTable ProfileTable::Priors() {
  static const auto* const kPriors = new ProfileTable(MakePriors());
  return *kPriors;
}

}  // namespace wattle::scheduler
