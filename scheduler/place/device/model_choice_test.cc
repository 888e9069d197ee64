// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests jobs with a quality floor: the models offered on each device, the choice, and the texts.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rules/quality_floor.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr int64_t kMiB = int64_t{1} << 20;

v1::ArtifactInfo Model(const std::string& id, const std::string& quantization) {
  v1::ArtifactInfo artifact;
  artifact.set_artifact_id(id);
  artifact.set_size_bytes(100 * kMiB);
  artifact.set_parameter_count(124'439'808);
  artifact.set_quantization(quantization);
  *artifact.mutable_model_shape() = Gpt2Shape(12);
  return artifact;
}

ModelView Quantized(const std::string& quantization, double perplexity_change_percent) {
  ModelView model{Model("id-" + quantization, quantization), "gpt2-" + quantization, false, {}};
  model.artifact.set_parent_artifact_id("id-parent");
  model.artifact.mutable_quality()->set_perplexity_change_percent(perplexity_change_percent);
  model.artifact.mutable_quality()->set_kl_divergence(perplexity_change_percent / 100);
  return model;
}

JobView FloorJob(double perplexity_change_percent_max,
                 v1::Objective objective = v1::OBJECTIVE_ENERGY) {
  v1::JobSpec spec;
  spec.set_objective(objective);
  spec.mutable_generate()->set_model("gpt2");
  spec.mutable_generate()->add_prompts("The mast is");
  spec.mutable_generate()->set_max_new_tokens(100);
  spec.mutable_quality_floor()->set_perplexity_change_percent_max(perplexity_change_percent_max);
  JobView job = MakeJob("j1", std::move(spec));
  job.inputs.push_back({"model", Model("id-parent", "none")});
  job.models.push_back({job.inputs[0].artifact, "gpt2", true, {}});
  job.models.push_back(Quantized("int8", 0.3));
  job.models.push_back(Quantized("int4-g64", 2.4));
  return job;
}

// A probe: what a short generation of that form took.
v1::ProfileRow Probe(const std::string& device_class, const std::string& quantization,
                     double seconds_per_token, double watts) {
  v1::ProfileRow row;
  row.set_device_class(device_class);
  row.set_emulated(true);
  row.set_source(v1::PROFILE_SOURCE_MEASURED);
  row.set_source_note("attempt j1.1");
  row.set_unit(v1::WORK_UNIT_GENERATED_TOKEN);
  row.mutable_signature()->set_method(v1::METHOD_GENERATE);
  *row.mutable_signature()->mutable_model() = Gpt2Shape(12);
  row.mutable_signature()->set_precision("fp32");
  row.mutable_signature()->set_quantization(quantization);
  row.mutable_signature()->set_batch_size(1);
  row.mutable_signature()->set_engine("wattle");
  row.set_idle_power_watts(3);
  for (auto [statistic, value] :
       {std::pair(row.mutable_seconds_per_unit(), seconds_per_token),
        std::pair(row.mutable_power_watts(), watts),
        std::pair(row.mutable_energy_joules_per_unit(), watts * seconds_per_token)}) {
    statistic->set_mean(value);
    statistic->set_count(1);
  }
  return row;
}

ProfileTable Probed(const std::vector<v1::ProfileRow>& rows) {
  ProfileTable table = ProfileTable::Priors();
  for (const v1::ProfileRow& row : rows) {
    EXPECT_THAT(table.Put(row), IsOk());
  }
  return table;
}

// int4 is fastest on the Orin; on the Xavier, which has no kernel for it, int8 is.
ProfileTable AllProbed() {
  return Probed(
      {Probe("jetson-orin-nano", "none", 0.10, 8), Probe("jetson-orin-nano", "int8", 0.03, 8),
       Probe("jetson-orin-nano", "int4-g64", 0.02, 8), Probe("jetson-xavier-nx", "none", 0.12, 9),
       Probe("jetson-xavier-nx", "int8", 0.04, 9), Probe("jetson-xavier-nx", "int4-g64", 0.20, 9)});
}

v1::Candidate On(const std::string& name, const ProfileTable& profiles, const JobView& job) {
  const auto plan = PlanJob(MakeSnapshot({OrinNano(), XavierNx()}, profiles), job);
  EXPECT_THAT(plan, IsOk());
  const v1::Candidate* candidate = plan.ok() ? FindCandidate(*plan, name) : nullptr;
  EXPECT_NE(candidate, nullptr);
  return candidate == nullptr ? v1::Candidate() : *candidate;
}

std::vector<std::string> ModelsOf(const v1::Candidate& candidate) {
  std::vector<std::string> models;
  for (const v1::ModelAlternative& one : candidate.alternatives()) {
    models.push_back((one.offered() ? "+" : "-") + one.quantization());
  }
  return models;
}

std::string WhyNot(const v1::Candidate& candidate, const std::string& quantization) {
  for (const v1::ModelAlternative& one : candidate.alternatives()) {
    if (one.quantization() == quantization) {
      return one.reason();
    }
  }
  return "no such alternative";
}

const v1::ModelAlternative* ParentOn(const v1::Candidate& candidate) {
  for (const v1::ModelAlternative& one : candidate.alternatives()) {
    if (one.is_parent()) {
      return &one;
    }
  }
  ADD_FAILURE() << "no parent";
  return nullptr;
}

// A GGUF file of llama.cpp runs in its own form: no alternative is smaller or quicker than FP32
// would be.
TEST(ModelChoiceTest, AParentCountsInTheFormOfItsFiles) {
  JobView job = FloorJob(1);
  v1::QuantizationRecipe& recipe = *job.models[0].artifact.mutable_recipe();
  recipe = *RecipeOfIdentity("int4-g32");
  job.inputs[0].artifact = job.models[0].artifact;
  ProfileTable profiles = AllProbed();
  EXPECT_THAT(profiles.Put(Probe("jetson-orin-nano", "int4-g32", 0.02, 8)), IsOk());
  const v1::Candidate candidate = On("orin", profiles, job);
  const v1::ModelAlternative* parent = ParentOn(candidate);
  ASSERT_NE(parent, nullptr);
  EXPECT_EQ(parent->quantization(), "int4-g32");
  EXPECT_DOUBLE_EQ(parent->bits_per_weight(), 4.5);  // an FP16 scale for 32 codes
  EXPECT_EQ(parent->stored_bytes(), 69'997'392);
  EXPECT_TRUE(parent->speed_measured());
  EXPECT_EQ(candidate.model_choice().artifact_id(), "id-parent")
      << "int8 takes more joules, and nothing is as good as the model itself";
  EXPECT_THAT(candidate.model_choice().reason(), AllOf(HasSubstr("runs gpt2 (int4-g32): 0.1 J"),
                                                       HasSubstr("next gpt2-int8 (int8): 0.15 J")));
}

TEST(ModelChoiceTest, EachDeviceRunsTheFewestJoulesThatMeetTheFloor) {
  const ProfileTable profiles = AllProbed();
  EXPECT_EQ(On("orin", profiles, FloorJob(3)).model_choice().quantization(), "int4-g64");
  EXPECT_EQ(On("nx", profiles, FloorJob(3)).model_choice().quantization(), "int8");
  const v1::Candidate one_percent = On("orin", profiles, FloorJob(1));
  EXPECT_EQ(one_percent.model_choice().artifact_id(), "id-int8");
  EXPECT_THAT(ModelsOf(one_percent), ElementsAre("+int8", "+none", "-int4-g64"));
  EXPECT_EQ(On("orin", profiles, FloorJob(0)).model_choice().quantization(), "none")
      << "nothing is as good as the model itself but the model";
  EXPECT_THAT(one_percent.model_choice().reason(),
              AllOf(HasSubstr("runs gpt2-int8 (int8): 0.15 J per unit"),
                    HasSubstr("perplexity change 0.3 %"), HasSubstr("the least of 2 models"),
                    HasSubstr("next gpt2 (fp32): 0.5 J per unit")));
  EXPECT_THAT(one_percent.alternatives(2).reason(),
              HasSubstr("perplexity change 2.4 %, and the floor is perplexity change at most 1 %"));
}

TEST(ModelChoiceTest, TheChoiceIsWhatThePlanPredicts) {
  const v1::Candidate candidate = On("orin", AllProbed(), FloorJob(3));
  const v1::ModelAlternative& chosen = candidate.alternatives(0);
  EXPECT_NEAR(chosen.units_per_second(), 50, 0.5);
  EXPECT_NEAR(chosen.energy_joules_per_unit(), 0.16, 0.002);
  EXPECT_NEAR(chosen.net_energy_joules_per_unit(), 0.10, 0.002) << "above 3 W of idle";
  EXPECT_TRUE(chosen.speed_measured());
  EXPECT_NEAR(candidate.prediction().run_seconds().mean() * 50, candidate.prediction().work_units(),
              1);
  EXPECT_EQ(candidate.prediction().fetch_bytes(), 100 * kMiB) << "one model, not three";
}

TEST(ModelChoiceTest, TheObjectiveTimeTakesTheFastest) {
  // int4 is faster, and draws more than twice the watts.
  const ProfileTable profiles = Probed({Probe("jetson-orin-nano", "int8", 0.03, 5),
                                        Probe("jetson-orin-nano", "int4-g64", 0.025, 14)});
  const JobView energy = FloorJob(3);
  const JobView time = FloorJob(3, v1::OBJECTIVE_TIME);
  EXPECT_EQ(On("orin", profiles, energy).model_choice().quantization(), "int8");
  EXPECT_EQ(On("orin", profiles, time).model_choice().quantization(), "int4-g64");
}

TEST(ModelChoiceTest, TheObjectiveEdpTakesTheLeastProductOfJoulesAndSeconds) {
  // Above 3 W of idle a token takes 0.06 J and 1.8 mJ s in int8, 0.05 J and 2.5 mJ s in int4, and
  // 0.09 J and 0.9 mJ s in FP32: each objective takes another one.
  const ProfileTable profiles = Probed({Probe("jetson-orin-nano", "none", 0.01, 12),
                                        Probe("jetson-orin-nano", "int8", 0.03, 5),
                                        Probe("jetson-orin-nano", "int4-g64", 0.05, 4)});
  const auto chosen = [&](v1::Objective objective) {
    return On("orin", profiles, FloorJob(3, objective)).model_choice();
  };
  EXPECT_EQ(chosen(v1::OBJECTIVE_ENERGY).quantization(), "int4-g64");
  EXPECT_EQ(chosen(v1::OBJECTIVE_EDP).quantization(), "none");
  EXPECT_THAT(
      chosen(v1::OBJECTIVE_EDP).reason(),
      AllOf(HasSubstr("0.0009 J x s per unit"), HasSubstr("next gpt2-int8 (int8): 0.0018")));
  // The fastest loses by its joules, and the one with the fewest joules by its seconds.
  const ProfileTable between = Probed({Probe("jetson-orin-nano", "none", 0.02, 33),
                                       Probe("jetson-orin-nano", "int8", 0.03, 5),
                                       Probe("jetson-orin-nano", "int4-g64", 0.05, 4)});
  const auto of = [&](v1::Objective objective) {
    return On("orin", between, FloorJob(3, objective)).model_choice().quantization();
  };
  EXPECT_EQ(of(v1::OBJECTIVE_TIME), "none");
  EXPECT_EQ(of(v1::OBJECTIVE_ENERGY), "int4-g64");
  EXPECT_EQ(of(v1::OBJECTIVE_EDP), "int8");
}

// An evaluation that generates answers, or that has a second model beside it, takes another time
// and needs a separate probe.
TEST(ModelChoiceTest, AnEvaluationWantsAProbeOfItsOwnKind) {
  JobView job = FloorJob(3);
  v1::EvaluateSpec& evaluate = *job.spec.mutable_evaluate();
  evaluate.set_model("gpt2");
  evaluate.set_data("squad-dev");
  evaluate.set_score_answers(true);
  InputView data{"data", {}};
  data.artifact.mutable_dataset()->set_format("squad");
  data.artifact.mutable_dataset()->set_examples(100);
  job.inputs.push_back(data);
  const auto probed = [&](v1::Method method) {
    v1::ProfileRow row = Probe("jetson-orin-nano", "int8", 0.01, 5);
    row.mutable_signature()->set_method(method);
    row.set_unit(v1::WORK_UNIT_EVALUATED_TOKEN);
    row.set_units_per_example(100);
    return On("orin", Probed({row}), job);
  };
  const v1::Candidate plain = probed(v1::METHOD_EVALUATE);
  EXPECT_THAT(WhyNot(plain, "int8"),
              HasSubstr("run: wattle probe gpt2 --kind evaluate --data squad-dev --score-answers"));
  EXPECT_EQ(WhyNot(probed(v1::METHOD_EVALUATE_ANSWERS), "int8"), "");
  evaluate.set_score_answers(false);
  evaluate.set_reference_model("gpt2");
  EXPECT_THAT(WhyNot(probed(v1::METHOD_EVALUATE), "int8"),
              HasSubstr("--data squad-dev --reference-model gpt2"));
  EXPECT_EQ(WhyNot(probed(v1::METHOD_EVALUATE_AGAINST), "int8"), "");
}

TEST(ModelChoiceTest, WithoutAProbeAPrecisionIsNotOffered) {
  const ProfileTable priors = ProfileTable::Priors();
  const v1::Candidate candidate = On("orin", priors, FloorJob(3));
  EXPECT_THAT(ModelsOf(candidate), UnorderedElementsAre("+none", "-int8", "-int4-g64"));
  EXPECT_EQ(candidate.model_choice().quantization(), "none");
  EXPECT_THAT(WhyNot(candidate, "int8"),
              HasSubstr("speed was not measured on this class; run: wattle probe gpt2"));
  // A probe of another class does not count, nor does one of a real board for an emulated one.
  v1::ProfileRow real = Probe("jetson-orin-nano", "int8", 0.03, 8);
  real.set_emulated(false);
  const ProfileTable others = Probed({Probe("jetson-xavier-nx", "int8", 0.03, 8), real});
  EXPECT_THAT(ModelsOf(On("orin", others, FloorJob(3))),
              UnorderedElementsAre("+none", "-int8", "-int4-g64"));
}

TEST(ModelChoiceTest, WithoutAMeasuredQualityAPrecisionIsNotOffered) {
  JobView job = FloorJob(3);
  job.models[2].artifact.clear_quality();
  const v1::Candidate candidate = On("orin", AllProbed(), job);
  EXPECT_THAT(ModelsOf(candidate), ElementsAre("+int8", "+none", "-int4-g64"));
  EXPECT_THAT(WhyNot(candidate, "int4-g64"),
              HasSubstr("quality was not measured; run: wattle probe gpt2 --data TEXT"));
}

TEST(ModelChoiceTest, AModelThatDoesNotFitIsNotOffered) {
  JobView job = FloorJob(0.5);
  job.models[0].peak_memory.cores_bytes = int64_t{9} << 30;
  job.models[1].peak_memory.cores_bytes = int64_t{1} << 30;
  const ProfileTable profiles = AllProbed();
  const v1::Candidate candidate = On("orin", profiles, job);
  EXPECT_EQ(candidate.model_choice().quantization(), "int8");
  EXPECT_TRUE(candidate.feasible()) << candidate.reason();
  EXPECT_EQ(candidate.prediction().peak_memory_bytes(), int64_t{1} << 30);
  // Only the model itself is good enough, and it is too large for the board.
  const JobView strict = [&] {
    JobView strictest = job;
    strictest.spec.mutable_quality_floor()->set_perplexity_change_percent_max(0.1);
    return strictest;
  }();
  const v1::Candidate refused = On("orin", profiles, strict);
  EXPECT_FALSE(refused.feasible());
  EXPECT_TRUE(refused.permanent());
  EXPECT_EQ(refused.refused_by(), "quality_floor");
  EXPECT_THAT(refused.reason(), HasSubstr("the nearest is gpt2: needs 9.0 GiB of memory"));
}

TEST(ModelChoiceTest, WhatCudaTakesOfASharedMemoryCounts) {
  JobView job = FloorJob(0.5);
  job.models[0].peak_memory.cores_bytes = int64_t{7} << 30;
  job.models[1].peak_memory.cores_bytes = int64_t{1} << 30;
  const ProfileTable profiles = AllProbed();
  DeviceView orin = OrinNano();
  orin.device.mutable_info()->set_accelerator("cuda");
  const auto plan = PlanJob(MakeSnapshot({orin}, profiles), job);
  ASSERT_THAT(plan, IsOk());
  const v1::Candidate& candidate = plan->candidates(0);
  EXPECT_THAT(WhyNot(candidate, "none"), HasSubstr("needs 8.2 GiB of memory"));
  EXPECT_EQ(candidate.model_choice().quantization(), "int8");
  EXPECT_EQ(candidate.prediction().peak_memory_bytes(), int64_t{2304} << 20);
}

TEST(ModelChoiceTest, AJobOfAListWaitsForItsProbe) {
  JobView job = FloorJob(1);
  job.models.erase(job.models.begin());
  const v1::Candidate candidate = On("orin", ProfileTable::Priors(), job);
  EXPECT_FALSE(candidate.feasible());
  EXPECT_FALSE(candidate.permanent()) << "a probe makes it feasible";
  EXPECT_THAT(candidate.reason(),
              AllOf(HasSubstr("the nearest is gpt2-int8"), HasSubstr("wattle probe gpt2")));
}

TEST(ModelChoiceTest, TheQueuesDecisionNamesTheModel) {
  const ProfileTable profiles = AllProbed();
  Snapshot snapshot = MakeSnapshot({OrinNano()}, profiles);
  snapshot.queue = {FloorJob(3)};
  const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
  ASSERT_EQ(placements.size(), 1U);
  EXPECT_EQ(placements[0].model_choice.artifact_id(), "id-int4-g64");
  EXPECT_THAT(placements[0].placement.reason(), HasSubstr("runs gpt2-int4-g64"));
}

TEST(QualityFloorTest, ANumberThatWasNotMeasuredIsNotMet) {
  v1::QualityFloor floor;
  floor.set_top1_agreement_percent_min(99);
  v1::ModelQuality quality;
  quality.set_perplexity_change_percent(0.1);
  EXPECT_FALSE(Meets(quality, floor));
  quality.set_top1_agreement_percent(99);
  EXPECT_TRUE(Meets(quality, floor));
  floor.set_perplexity_change_percent_max(0.05);
  EXPECT_FALSE(Meets(quality, floor)) << "every number counts";
}

TEST(QualityFloorTest, TheNearestOfThoseThatMissIsNamed) {
  JobView job = FloorJob(0.1);
  EXPECT_EQ(WhyNoneMeets(job.spec.quality_floor(), job.models), "") << "the model itself meets any";
  job.models.erase(job.models.begin());
  EXPECT_THAT(WhyNoneMeets(job.spec.quality_floor(), job.models),
              AllOf(HasSubstr("no model has perplexity change at most 0.1 %"),
                    HasSubstr("the nearest is gpt2-int8 with perplexity change 0.3 %")));
  job.models[1].artifact.clear_quality();
  EXPECT_EQ(WhyNoneMeets(job.spec.quality_floor(), job.models), "") << "it may yet be good enough";
}

}  // namespace
}  // namespace wattle::scheduler
