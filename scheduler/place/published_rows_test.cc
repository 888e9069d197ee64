// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that `wattle plan` of the papers' workload gives the papers' figures.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

constexpr double kTolerance = 0.005;

v1::PlanResponse Plan(const v1::JobSpec& spec, const ProfileTable& profiles) {
  const Snapshot snapshot = MakeSnapshot({XavierNx(), OrinNano()}, profiles);
  const auto plan = PlanJob(snapshot, MakeJob("j1", spec));
  EXPECT_THAT(plan, IsOk());
  return plan.value_or(v1::PlanResponse());
}

struct Published {
  const char* device;
  int layers;
  double seconds;
  double energy_wh;
  double watts;
};

void ExpectRow(const ProfileTable& profiles, const Published& row) {
  const v1::PlanResponse plan = Plan(PublishedSpec(row.layers), profiles);
  const v1::Candidate* candidate = FindCandidate(plan, row.device);
  ASSERT_NE(candidate, nullptr);
  const v1::Prediction& prediction = candidate->prediction();
  EXPECT_NEAR(prediction.run_seconds().mean(), row.seconds, kTolerance * row.seconds);
  EXPECT_NEAR(prediction.run_energy_joules().mean() / 3600, row.energy_wh,
              kTolerance * row.energy_wh);
  EXPECT_NEAR(prediction.mean_power_watts(), row.watts, kTolerance * row.watts);
  EXPECT_EQ(prediction.provenance(), v1::PROVENANCE_PUBLISHED);
  EXPECT_THAT(prediction.provenance_note(), HasSubstr("tables 3 and 4; unit example"));
  EXPECT_EQ(plan.chosen_device_id(), "id-orin");
}

constexpr Published kRows[] = {{"nx", 12, 14561, 57.82, 14.29},
                               {"orin", 12, 11726, 36.33, 11.15},
                               {"nx", 6, 15896, 59.05, 13.37},
                               {"orin", 6, 9414, 28.91, 11.05}};

TEST(PublishedRowsTest, AllFourArePredicted) {
  for (const Published& row : kRows) {
    SCOPED_TRACE(testing::Message() << row.device << ", " << row.layers << " layers");
    ExpectRow(ProfileTable::Priors(), row);
  }
}

// The value of a field in a flat JSON object, without quotes.
std::string ValueOf(const std::string& object, const std::string& field) {
  const std::string name = "\"" + field + "\": ";
  const size_t begin = object.find(name);
  if (begin == std::string::npos) {
    ADD_FAILURE() << "no " << field << " in " << object;
    return "";
  }
  std::string value =
      object.substr(begin + name.size(), object.find_first_of(",\n", begin) - begin - name.size());
  value.erase(std::remove(value.begin(), value.end(), '"'), value.end());
  return value;
}

double NumberOf(const std::string& object, const std::string& field) {
  return std::strtod(ValueOf(object, field).c_str(), nullptr);
}

TEST(PublishedRowsTest, AgreeWithTheFileOfPublishedFigures) {
  const std::ifstream file(FiguresPath("boards/published_training.json"));
  ASSERT_TRUE(file.is_open());
  std::stringstream text;
  text << file.rdbuf();
  const std::string json = text.str();
  int found = 0;
  for (size_t at = json.find("\"cuda_cores\""); at != std::string::npos;
       at = json.find("\"cuda_cores\"", at + 1)) {
    // A row of the training tables: from its brace to the closing one.
    const size_t begin = json.rfind('{', at);
    const std::string row = json.substr(begin, json.find('}', at) - begin);
    ExpectRow(ProfileTable::Priors(),
              Published{ValueOf(row, "device") == "jetson-orin-nano" ? "orin" : "nx",
                        ValueOf(row, "model") == "gpt2" ? 12 : 6, NumberOf(row, "time_s"),
                        NumberOf(row, "energy_wh"), NumberOf(row, "mean_power_w")});
    ++found;
  }
  EXPECT_EQ(found, 4);
}

TEST(PublishedRowsTest, HalfTheExamplesOrEpochsTakeHalf) {
  v1::JobSpec examples = PublishedSpec(12);
  examples.mutable_finetune()->mutable_data_shape()->set_examples(5000);
  v1::JobSpec epochs = PublishedSpec(12);
  epochs.mutable_finetune()->set_epochs(1);
  v1::JobSpec limit = PublishedSpec(12);
  limit.mutable_finetune()->set_limit_examples(5000);
  for (const v1::JobSpec& spec : {examples, epochs, limit}) {
    const v1::PlanResponse plan = Plan(spec, ProfileTable::Priors());
    const v1::Prediction& prediction = FindCandidate(plan, "orin")->prediction();
    EXPECT_NEAR(prediction.run_seconds().mean(), 11726 / 2.0, 1);
    EXPECT_NEAR(prediction.run_energy_joules().mean() / 3600, 36.33 / 2, 0.01);
    EXPECT_NEAR(prediction.mean_power_watts(), 11.15, 0.01);
  }
}

TEST(PublishedRowsTest, TheJobsNameDoesNotChangeThePrediction) {
  v1::JobSpec spec = PublishedSpec(6);
  spec.set_name("something else");
  EXPECT_NEAR(
      FindCandidate(Plan(spec, ProfileTable::Priors()), "nx")->prediction().run_seconds().mean(),
      15896, 1);
}

TEST(PublishedRowsTest, AnotherWidthTakesAnotherTimeAndIsLessSure) {
  const auto predict = [](int width) {
    v1::JobSpec spec = PublishedSpec(12);
    spec.mutable_finetune()->mutable_model_shape()->set_width(width);
    return FindCandidate(Plan(spec, ProfileTable::Priors()), "orin")->prediction();
  };
  const v1::Prediction base = predict(768);
  const v1::Prediction wide = predict(1536);
  const v1::Prediction narrow = predict(384);
  EXPECT_GT(wide.run_seconds().mean(), 2.5 * base.run_seconds().mean());
  EXPECT_LT(wide.run_seconds().mean(), 4.5 * base.run_seconds().mean());
  EXPECT_LT(narrow.run_seconds().mean(), base.run_seconds().mean() / 2);
  const auto width_of = [](const v1::Prediction& prediction) {
    return prediction.run_seconds().high() / prediction.run_seconds().low();
  };
  EXPECT_GT(width_of(wide), width_of(base));
  EXPECT_GT(width_of(narrow), width_of(base));
  EXPECT_THAT(wide.provenance_note(), HasSubstr("scaled by cost"));
}

TEST(PublishedRowsTest, ABatchOrLengthUnknownToTheTablesIsLessSureAndHasTheSameMean) {
  const auto predict = [](int batch, int length) {
    v1::JobSpec spec = PublishedSpec(12);
    spec.mutable_finetune()->set_batch_size(batch);
    spec.mutable_finetune()->set_sequence_length(length);
    return FindCandidate(Plan(spec, ProfileTable::Priors()), "orin")->prediction();
  };
  const v1::Prediction both = predict(8, 384);
  const v1::Prediction batch = predict(8, 0);
  const v1::Prediction length = predict(0, 384);
  const v1::Prediction none = predict(0, 0);
  for (const v1::Prediction& prediction : {both, batch, length, none}) {
    EXPECT_NEAR(prediction.run_seconds().mean(), 11726, kTolerance * 11726);
  }
  // The papers give neither batch nor length, so a job that specifies one may differ from their
  // experiment.
  EXPECT_GT(both.run_seconds().high(), batch.run_seconds().high());
  EXPECT_GT(both.run_seconds().high(), length.run_seconds().high());
  EXPECT_GT(batch.run_seconds().high(), none.run_seconds().high());
  EXPECT_LT(batch.run_seconds().low(), none.run_seconds().low());
}

// The receipt of a measured attempt of an emulated worker of `view`'s class.
v1::Receipt ReceiptFor(const DeviceView& view, const v1::ModelShape& shape, double seconds) {
  v1::Receipt receipt;
  receipt.set_attempt_id("j1.1");
  receipt.set_emulated(true);
  receipt.set_device_class(view.device.info().device_class());
  v1::EnergyMeasurement& run = *receipt.mutable_run();
  run.set_seconds(seconds);
  run.set_mean_power_watts(9);
  run.set_coverage_ratio(1);
  run.set_source(v1::ENERGY_SOURCE_EMULATED);
  v1::WorkDone& work = *receipt.mutable_work();
  work.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  work.set_units(60000);
  work.set_tokens(60000);
  work.set_examples(400);
  work.set_steps(50);
  *work.mutable_signature()->mutable_model() = shape;
  work.mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
  work.mutable_signature()->set_precision("fp32");
  work.mutable_signature()->set_quantization("none");
  work.mutable_signature()->set_batch_size(8);
  work.mutable_signature()->set_sequence_length(256);
  work.mutable_signature()->set_engine("wattle");
  return receipt;
}

void Learn(const DeviceView& view, const v1::ModelShape& shape, double seconds,
           ProfileTable* table) {
  for (const v1::ProfileRow& row :
       LearnFromReceipt(*table, view.device.info(), ReceiptFor(view, shape, seconds), kTestNow)) {
    ASSERT_THAT(table->Put(row), IsOk());
  }
}

TEST(PublishedRowsTest, StillHoldAfterADemoWithASmallModel) {
  v1::ModelShape demo = Gpt2Shape(4);  // 2.6 million parameters.
  demo.set_width(192);
  demo.set_heads(6);
  demo.set_vocabulary_size(4096);
  demo.set_context_length(256);
  ProfileTable table = ProfileTable::Priors();
  Learn(XavierNx(), demo, 300, &table);
  Learn(OrinNano(), demo, 200, &table);
  ASSERT_EQ(table.size(), ProfileTable::Priors().size() + 4);
  for (const Published& row : kRows) {
    SCOPED_TRACE(testing::Message() << row.device << ", " << row.layers << " layers");
    ExpectRow(table, row);
  }
  // The published row stays even if the other class has measured this workload, because the shared
  // workload is far smaller.
  Learn(XavierNx(), Gpt2Shape(12), 3000, &table);
  EXPECT_NEAR(
      FindCandidate(Plan(PublishedSpec(12), table), "orin")->prediction().run_seconds().mean(),
      11726, kTolerance * 11726);
}

TEST(PublishedRowsTest, AMeasuredRowOfTheSameWorkloadDisplacesThem) {
  ProfileTable table = ProfileTable::Priors();
  Learn(OrinNano(), Gpt2Shape(12), 3000, &table);
  const v1::PlanResponse plan = Plan(PublishedSpec(12), table);
  const v1::Prediction& measured = FindCandidate(plan, "orin")->prediction();
  // 400 examples took 3000 s, so 20,000 take 50 times as long.
  EXPECT_NEAR(measured.run_seconds().mean(), 150000, 1500);
  EXPECT_EQ(measured.provenance(), v1::PROVENANCE_MEASURED_DEVICE);
  EXPECT_NEAR(FindCandidate(plan, "nx")->prediction().run_seconds().mean(), 14561, 73);
}

TEST(PublishedRowsTest, ServeRealDevicesToo) {
  const ProfileTable priors = ProfileTable::Priors();
  DeviceView real = OrinNano();
  real.device.mutable_info()->set_emulated(false);
  const auto plan = PlanJob(MakeSnapshot({real}, priors), MakeJob("j1", PublishedSpec(12)));
  ASSERT_THAT(plan, IsOk());
  EXPECT_NEAR(plan->candidates(0).prediction().run_seconds().mean(), 11726, 59);
}

}  // namespace
}  // namespace wattle::scheduler
