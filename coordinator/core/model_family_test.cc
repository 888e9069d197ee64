// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the coordinator's records of quantized models, and which a job with a quality floor may
// run.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "proto/peak_memory.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_revision.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ModelFamilyTest : public testing::Test {
 protected:
  ModelFamilyTest() {
    Commit("aaaa000011", "demo", v1::ARTIFACT_KIND_MODEL, "none", "");
    v1::ArtifactInfo text;
    text.set_artifact_id("dddd000011");
    text.set_name("wiki");
    text.set_kind(v1::ARTIFACT_KIND_DATASET);
    text.set_size_bytes(100'000);
    text.mutable_dataset()->set_format("text");
    text.mutable_dataset()->set_examples(1);
    Do(CommitArtifact{text});
    v1::Hello hello;
    hello.set_incarnation(1);
    hello.mutable_device()->set_device_id("device-1");
    hello.mutable_device()->set_name("mast");
    hello.mutable_device()->set_device_class("raspberry-pi-5");
    hello.mutable_device()->set_engine_version("wattle-0.2.0");
    hello.mutable_device()->set_spec_revision(kSpecRevision);
    Do(WorkerHello{hello});
    observations_.devices[DeviceId("device-1")].connected = true;
    observations_.devices[DeviceId("device-1")].last_seen = now_;
  }

  void Do(const Command& command) {
    const Decision decision = Decide(state_, command, observations_, now_);
    ASSERT_THAT(decision.status, IsOk());
    last_id_ = decision.id;
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, now_.monotonic);
    }
  }

  void Commit(const std::string& id, const std::string& name, v1::ArtifactKind kind,
              const std::string& quantization, const std::string& job_id) {
    v1::ArtifactInfo info;
    info.set_artifact_id(id);
    info.set_name(name);
    info.set_kind(kind);
    info.set_job_id(job_id);
    info.set_size_bytes(1'000'000);
    info.set_parameter_count(100'000);
    info.set_quantization(quantization);
    if (next_recipe_.has_value()) {
      *info.mutable_recipe() = *std::exchange(next_recipe_, std::nullopt);
    }
    v1::ModelShape& shape = *info.mutable_model_shape();
    shape.set_architecture("gpt2");
    shape.set_layers(2);
    shape.set_width(64);
    shape.set_heads(2);
    shape.set_vocabulary_size(1000);
    shape.set_context_length(128);
    info.mutable_quality()->set_kl_divergence(-1);  // Nobody may claim it.
    Do(CommitArtifact{info});
  }

  std::string Submit(const v1::JobSpec& spec) {
    SubmitJob submit;
    submit.idempotency_key = "key " + std::to_string(++submitted_);
    submit.spec = spec;
    Do(submit);
    return last_id_;
  }

  // Runs the job on the only device: planned, accepted, finished with these metrics.
  void Run(const std::string& job_id, const std::string& output, const std::string& ran,
           const std::vector<std::pair<std::string, double>>& metrics) {
    Do(ComputePlan(MakeSnapshot(state_, observations_, {}, now_)));
    const v1::Attempt& attempt = FindJob(state_, JobId(job_id))->job().attempts(0);
    if (!output.empty()) {
      Commit(output, "", v1::ARTIFACT_KIND_RESULT, ran, job_id);
    }
    WorkerReport report{DeviceId("device-1"), 1, {}};
    report.report.set_sequence(++reports_);
    v1::AttemptFinished& finished = *report.report.mutable_finished();
    finished.set_attempt_id(attempt.attempt_id());
    finished.set_fencing_token(attempt.fencing_token());
    finished.mutable_output()->set_artifact_id(output);
    v1::Receipt& receipt = *finished.mutable_receipt();
    receipt.mutable_work()->mutable_signature()->set_quantization(ran);
    for (const auto& [name, value] : metrics) {
      receipt.add_metrics()->set_name(name);
      receipt.mutable_metrics()->rbegin()->set_value(value);
    }
    Do(report);
    ASSERT_EQ(FindJob(state_, JobId(job_id))->job().state(), v1::JOB_STATE_SUCCEEDED);
  }

  std::string Quantize(v1::Quantization quantization, const std::string& output,
                       const std::string& ran,
                       const std::vector<std::pair<std::string, double>>& metrics) {
    v1::JobSpec spec;
    spec.mutable_quantize()->set_model("demo");
    spec.mutable_quantize()->set_quantization(quantization);
    const std::string id = Submit(spec);
    Run(id, output, ran, metrics);
    return id;
  }

  static v1::JobSpec FloorSpec(double perplexity_change_percent_max) {
    v1::JobSpec spec;
    spec.mutable_generate()->set_model("demo");
    spec.mutable_generate()->add_prompts("Who?");
    spec.mutable_quality_floor()->set_perplexity_change_percent_max(perplexity_change_percent_max);
    return spec;
  }

  absl::StatusOr<v1::PlanResponse> Plan(const v1::JobSpec& spec) {
    v1::PlanRequest request;
    *request.mutable_spec() = spec;
    return DryRun(state_, observations_, {}, request, now_);
  }

  const v1::ArtifactInfo& Info(const std::string& id) {
    return state_.artifacts.at(ArtifactId(id));
  }

  State state_;
  Observations observations_;
  Instant now_{absl::UnixEpoch() + absl::Hours(500'000), Monotonic()};
  std::string last_id_;
  std::optional<v1::QuantizationRecipe> next_recipe_;  // For the artifact that is committed next.
  int submitted_ = 0;
  int64_t reports_ = 0;
};

TEST_F(ModelFamilyTest, AQuantizedModelKnowsItsParentItsBytesAndItsQuality) {
  EXPECT_FALSE(Info("aaaa000011").has_quality()) << "a pushed model claims nothing";
  const std::string job = Quantize(v1::QUANTIZATION_INT4, "bbbb000011", "int4-g64",
                                   {{"bits_per_weight", 4.5},
                                    {"stored_bytes", 56'000},
                                    {"kl_divergence", 0.02},
                                    {"perplexity_change_percent", 1.9},
                                    {"top1_agreement_percent", 93}});
  const v1::ArtifactInfo& info = Info("bbbb000011");
  EXPECT_EQ(info.parent_artifact_id(), "aaaa000011");
  EXPECT_EQ(info.stored_bytes(), 56'000);
  EXPECT_DOUBLE_EQ(info.bits_per_weight(), 4.5);
  EXPECT_DOUBLE_EQ(info.quality().perplexity_change_percent(), 1.9);
  EXPECT_DOUBLE_EQ(info.quality().top1_agreement_percent(), 93);
  EXPECT_EQ(info.quality().job_id(), job);
  // The record survives a snapshot, and another name for the same bytes.
  const absl::StatusOr<State> restored = ParseSnapshot(SnapshotBytes(state_));
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(restored->artifacts.at(ArtifactId("bbbb000011")).SerializeAsString(),
            info.SerializeAsString());
  Commit("bbbb000011", "demo-int4", v1::ARTIFACT_KIND_MODEL, "int4-g64", "");
  EXPECT_EQ(Info("bbbb000011").parent_artifact_id(), "aaaa000011");
  EXPECT_TRUE(Info("bbbb000011").has_quality());
}

TEST_F(ModelFamilyTest, WhatAJobMakesHasTheTemplateOfItsModel) {
  v1::ArtifactInfo chat = Info("aaaa000011");
  chat.set_artifact_id("cccc000099");
  chat.set_name("chat");
  chat.mutable_chat_template()->set_per_message(5);
  Do(CommitArtifact{chat, false});
  EXPECT_DOUBLE_EQ(Info("cccc000099").chat_template().per_message(), 5) << "as it was pushed";
  v1::JobSpec spec;
  spec.mutable_quantize()->set_model("chat");
  Run(Submit(spec), "bbbb000099", "int8", {});
  EXPECT_DOUBLE_EQ(Info("bbbb000099").chat_template().per_message(), 5);
  Quantize(v1::QUANTIZATION_INT8, "bbbb000022", "int8", {});
  EXPECT_FALSE(Info("bbbb000022").has_chat_template());
}

TEST_F(ModelFamilyTest, AnEvaluationAgainstTheParentMeasures) {
  Quantize(v1::QUANTIZATION_INT8, "bbbb000022", "int8", {{"bits_per_weight", 8.2}});
  EXPECT_FALSE(Info("bbbb000022").has_quality());
  v1::JobSpec spec;
  spec.mutable_evaluate()->set_model("bbbb000022");
  spec.mutable_evaluate()->set_data("wiki");
  const std::vector<std::pair<std::string, double>> metrics = {
      {"kl_divergence", 0.001}, {"perplexity_change_percent", 0.2}, {"predicted_tokens", 4000}};
  spec.mutable_evaluate()->set_reference_model("bbbb000022");
  Run(Submit(spec), "", "int8", metrics);
  EXPECT_FALSE(Info("bbbb000022").has_quality()) << "it was compared with itself";
  spec.mutable_evaluate()->set_reference_model("demo");
  Run(Submit(spec), "", "int8", metrics);
  EXPECT_DOUBLE_EQ(Info("bbbb000022").quality().perplexity_change_percent(), 0.2);
  EXPECT_EQ(Info("bbbb000022").quality().predicted_tokens(), 4000);
  EXPECT_EQ(Info("bbbb000022").quality().data_artifact_id(), "dddd000011");
  EXPECT_DOUBLE_EQ(Info("bbbb000022").bits_per_weight(), 8.2) << "which it does not tell again";
}

TEST_F(ModelFamilyTest, TheAlternativesAreTheModelAndAllThatWereMadeFromIt) {
  const std::string job = Quantize(v1::QUANTIZATION_INT8, "bbbb000022", "int8", {});
  Commit("cccc000033", "other", v1::ARTIFACT_KIND_MODEL, "none", "");
  const auto plan = Plan(FloorSpec(1));
  ASSERT_THAT(plan, IsOk());
  std::vector<std::string> models;
  for (const v1::ModelAlternative& one : plan->candidates(0).alternatives()) {
    models.push_back(one.model());
  }
  EXPECT_THAT(models, ElementsAre("demo", "job:" + job + "/output"));
}

// An estimate that reveals the job's recipe: bits of the matrices, and of exceptions.
PlanningInputs BytesByRecipe() {
  PlanningInputs inputs;
  inputs.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                              const scheduler::DataMemory&) {
    const v1::QuantizationRecipe& recipe =
        spec.has_generate() ? spec.generate().recipe() : spec.evaluate().recipe();
    const int64_t bits = recipe.matrices().bits() == 0 ? 32 : recipe.matrices().bits();
    return PeakMemory{.cores_bytes = 1000 * bits + recipe.exceptions_size()};
  };
  return inputs;
}

v1::QuantizationRecipe AdaptiveRecipe() {
  v1::QuantizationRecipe recipe;
  recipe.mutable_matrices()->set_bits(4);
  recipe.add_exceptions()->set_tensor("layers.0.qkv.weight");
  recipe.mutable_exceptions(0)->mutable_format()->set_bits(8);
  return recipe;
}

TEST_F(ModelFamilyTest, EachModelsMemoryIsThatOfItsOwnRecipe) {
  Quantize(v1::QUANTIZATION_INT8, "bbbb000022", "int8", {});  // Its identity contains everything.
  next_recipe_ = AdaptiveRecipe();
  Quantize(v1::QUANTIZATION_INT4, "bbbb000033", RecipeIdentity(*next_recipe_), {});
  EXPECT_EQ(Info("bbbb000033").recipe().exceptions_size(), 1);
  Submit(FloorSpec(1));
  const scheduler::Snapshot snapshot = MakeSnapshot(state_, observations_, BytesByRecipe(), now_);
  ASSERT_EQ(snapshot.queue.size(), 1U);
  std::vector<std::string> bytes;
  for (const scheduler::ModelView& model : snapshot.queue[0].models) {
    bytes.push_back(model.artifact.artifact_id() + " " +
                    std::to_string(model.peak_memory.cores_bytes));
  }
  EXPECT_THAT(bytes, ElementsAre("aaaa000011 32000", "bbbb000022 8000", "bbbb000033 4001"));
}

TEST_F(ModelFamilyTest, AJobOnAQuantizedModelNeedsTheMemoryOfItsFiles) {
  next_recipe_ = AdaptiveRecipe();
  Quantize(v1::QUANTIZATION_INT4, "bbbb000033", RecipeIdentity(*next_recipe_), {});
  const auto bytes = [&](const v1::JobSpec& spec) {
    Submit(spec);
    const auto snapshot = MakeSnapshot(state_, observations_, BytesByRecipe(), now_);
    return snapshot.queue.empty() ? 0 : snapshot.queue.back().peak_memory.cores_bytes;
  };
  v1::JobSpec spec;
  spec.mutable_generate()->set_model("bbbb000033");
  spec.mutable_generate()->add_prompts("Who?");
  EXPECT_EQ(bytes(spec), 4001);
  spec.mutable_evaluate()->set_model("bbbb000033");
  spec.mutable_evaluate()->set_data("wiki");
  EXPECT_EQ(bytes(spec), 4001);
  spec.mutable_evaluate()->set_model("demo");
  EXPECT_EQ(bytes(spec), 32'000);
  // A recipe of the job's own counts for a model that has none.
  spec.mutable_evaluate()->mutable_recipe()->mutable_matrices()->set_bits(8);
  EXPECT_EQ(bytes(spec), 8000);
}

// A GGUF file of llama.cpp: its recipe is that of the file, and it is no quantized model of ours.
TEST_F(ModelFamilyTest, AJobOnAGgufModelNeedsTheMemoryOfItsFile) {
  next_recipe_ = AdaptiveRecipe();
  Commit("aaaa000044", "gguf", v1::ARTIFACT_KIND_MODEL, "none", "");
  const auto bytes = [&](const v1::JobSpec& spec) {
    Submit(spec);
    const auto snapshot = MakeSnapshot(state_, observations_, BytesByRecipe(), now_);
    return snapshot.queue.empty() ? 0 : snapshot.queue.back().peak_memory.cores_bytes;
  };
  v1::JobSpec spec;
  spec.mutable_generate()->set_model("gguf");
  spec.mutable_generate()->add_prompts("Who?");
  EXPECT_EQ(bytes(spec), 4001);
  spec.mutable_generate()->set_quantization(v1::QUANTIZATION_NONE);
  EXPECT_EQ(bytes(spec), 32'000);
}

TEST_F(ModelFamilyTest, WithAQualityFloorAGgufModelNeedsTheMemoryOfItsFileToo) {
  next_recipe_ = AdaptiveRecipe();
  Commit("aaaa000044", "gguf", v1::ARTIFACT_KIND_MODEL, "none", "");
  v1::JobSpec spec = FloorSpec(1);
  spec.mutable_generate()->set_model("gguf");
  Submit(spec);
  const scheduler::Snapshot snapshot = MakeSnapshot(state_, observations_, BytesByRecipe(), now_);
  ASSERT_EQ(snapshot.queue.size(), 1U);
  ASSERT_EQ(snapshot.queue[0].models.size(), 1U);
  EXPECT_TRUE(snapshot.queue[0].models[0].is_parent);
  EXPECT_EQ(snapshot.queue[0].models[0].peak_memory.cores_bytes, 4001);
}

TEST_F(ModelFamilyTest, AnOutputToComeHasTheRecipeOfItsJob) {
  next_recipe_ = v1::QuantizationRecipe();  // FP32 stated explicitly, as in a push.
  Commit("aaaa000044", "told", v1::ARTIFACT_KIND_MODEL, "none", "");
  v1::JobSpec quantize;
  quantize.mutable_quantize()->set_model("told");
  *quantize.mutable_quantize()->mutable_recipe() = AdaptiveRecipe();
  const std::string reference = "job:" + Submit(quantize) + "/output";
  v1::PlanRequest request;
  request.mutable_spec()->mutable_generate()->set_model(reference);
  request.mutable_spec()->mutable_generate()->add_prompts("Who?");
  const auto plan = DryRun(state_, observations_, BytesByRecipe(), request, now_);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->candidates(0).prediction().peak_memory_bytes(), 4001);
}

TEST_F(ModelFamilyTest, AnAttemptIsGivenTheModelThatWasChosen) {
  const std::string output = "bbbb000022";
  Quantize(v1::QUANTIZATION_INT8, output, "int8",
           {{"kl_divergence", 0.001}, {"perplexity_change_percent", 0.2}});
  v1::JobSpec spec = FloorSpec(1);
  spec.mutable_quality_floor()->add_models("demo");
  const std::string id = Submit(spec);
  PlanComputed plan = ComputePlan(MakeSnapshot(state_, observations_, {}, now_));
  ASSERT_EQ(plan.jobs.size(), 1U);
  EXPECT_EQ(plan.jobs[0].model_choice.artifact_id(), "aaaa000011") << "the only one of the list";
  plan.jobs[0].model_choice.set_artifact_id(output);
  Do(plan);
  const v1::DesiredSet desired = DesiredFor(state_, DeviceId("device-1"));
  ASSERT_EQ(desired.assignments_size(), 1);
  std::vector<std::string> inputs;
  for (const v1::ResolvedInput& input : desired.assignments(0).inputs()) {
    inputs.push_back(input.field() + "=" + input.artifact_id());
  }
  EXPECT_THAT(inputs, ElementsAre("model=" + output));
  const Decision remove = Decide(state_, RemoveArtifact{output}, observations_, now_);
  EXPECT_THAT(remove.status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("needed by " + id)));
}

TEST_F(ModelFamilyTest, AFloorThatNobodyMeetsIsRefusedWithTheNearest) {
  Quantize(v1::QUANTIZATION_INT8, "bbbb000022", "int8",
           {{"kl_divergence", 0.001}, {"perplexity_change_percent", 0.2}});
  v1::JobSpec spec = FloorSpec(0.1);
  EXPECT_THAT(CheckPossible(state_, observations_, {}, spec, now_), IsOk()) << "demo itself";
  spec.mutable_quality_floor()->add_models("bbbb000022");
  EXPECT_THAT(CheckPossible(state_, observations_, {}, spec, now_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("no model has perplexity change at most 0.1 %"),
                             HasSubstr("/output with perplexity change 0.2 %"))));
  EXPECT_THAT(Plan(spec)->certain_failure(), HasSubstr("the nearest is"));
}

TEST_F(ModelFamilyTest, TheFloorsModelsAreOfOneFamily) {
  Quantize(v1::QUANTIZATION_INT8, "bbbb000022", "int8", {});
  Commit("cccc000033", "other", v1::ARTIFACT_KIND_MODEL, "none", "");
  v1::JobSpec spec = FloorSpec(1);
  spec.mutable_quality_floor()->add_models("other");
  EXPECT_THAT(Plan(spec).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("quality_floor.models: other was not quantized from")));
  spec = FloorSpec(1);
  spec.mutable_generate()->set_model("bbbb000022");
  EXPECT_THAT(Plan(spec)->certain_failure(), HasSubstr("wants the model that it was made from"));
}

TEST_F(ModelFamilyTest, WhatAFloorCannotBe) {
  const auto refused = [&](const v1::JobSpec& spec) {
    return std::string(ValidateSpec(spec, /*files_needed=*/false).message());
  };
  v1::JobSpec spec = FloorSpec(1);
  EXPECT_THAT(refused(spec), IsEmpty());
  spec.mutable_generate()->set_quantization(v1::QUANTIZATION_INT8);
  EXPECT_THAT(refused(spec), HasSubstr("generate.quantization: stands beside quality_floor"));
  spec = FloorSpec(-1);
  EXPECT_THAT(refused(spec), HasSubstr("quality_floor.perplexity_change_percent_max: -1: want 0"));
  spec.mutable_quality_floor()->Clear();
  EXPECT_THAT(refused(spec), HasSubstr("quality_floor: bounds nothing"));
  spec = FloorSpec(1);
  spec.mutable_quality_floor()->set_top1_agreement_percent_min(101);
  EXPECT_THAT(refused(spec), HasSubstr("top1_agreement_percent_min: 101: want 0 to 100"));
  v1::JobSpec quantize;
  quantize.mutable_quantize()->set_model("demo");
  quantize.mutable_quality_floor()->set_kl_divergence_max(1);
  EXPECT_THAT(refused(quantize), HasSubstr("only generate and evaluate jobs"));
}

}  // namespace
}  // namespace wattle::core
