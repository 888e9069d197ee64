// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests which specs are refused, and that the refusal names the field.
#include <functional>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/job_kinds_internal.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "proto/testing/job_kinds_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;

v1::JobSpec Declared() {
  v1::JobSpec spec;
  *spec.mutable_finetune()->mutable_model_shape() = Shape();
  spec.mutable_finetune()->mutable_data_shape()->set_examples(100);
  return spec;
}

struct SpecCase {
  const char* name;
  std::function<void(v1::JobSpec&)> change;
  absl::StatusCode code;
  const char* message;
};

class ValidateSpecTest : public testing::TestWithParam<SpecCase> {};

TEST_P(ValidateSpecTest, NamesTheField) {
  v1::JobSpec spec = Finetune();
  GetParam().change(spec);
  EXPECT_THAT(ValidateSpec(spec, true), StatusIs(GetParam().code, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, ValidateSpecTest,
    testing::Values(
        SpecCase{"NoKind", [](auto& spec) { spec.clear_finetune(); }, kInvalid, "no kind"},
        SpecCase{"LongName", [](auto& spec) { spec.set_name(std::string(81, 'x')); }, kInvalid,
                 "name: 81"},
        SpecCase{"NegativeDeadline", [](auto& spec) { spec.set_deadline_seconds(-1); }, kInvalid,
                 "deadline_seconds: -1"},
        SpecCase{
            "TimeoutIsNoNumber",
            [](auto& spec) { spec.set_timeout_seconds(std::numeric_limits<double>::quiet_NaN()); },
            kInvalid, "timeout_seconds: nan"},
        SpecCase{"ApartWithoutAGroup", [](auto& spec) { spec.mutable_apart()->set_by("site"); },
                 kInvalid, "apart.group: \"\": want the name of a group"},
        SpecCase{"ApartByAValue",
                 [](auto& spec) {
                   spec.mutable_apart()->set_group("folds");
                   spec.mutable_apart()->set_by("site=north");
                 },
                 kInvalid, "apart.by: \"site=north\": want the key of a label alone"},
        SpecCase{"NegativeEnergyBudget", [](auto& spec) { spec.set_energy_budget_wh(-1); },
                 kInvalid, "energy_budget_wh: -1"},
        SpecCase{"PriorityAbove", [](auto& spec) { spec.set_priority(101); }, kInvalid,
                 "priority: 101: want -100 to 100"},
        SpecCase{"EmptyLabel", [](auto& spec) { spec.add_required_labels("=x"); }, kInvalid,
                 "required_labels"},
        SpecCase{"LineEnd", [](auto& spec) { spec.add_required_labels("=two\nlines"); }, kInvalid,
                 "required_labels: \"=two lines\""},
        SpecCase{"LearningRateAbove",
                 [](auto& spec) { spec.mutable_finetune()->set_learning_rate(11); }, kInvalid,
                 "finetune.learning_rate: 11"},
        SpecCase{"AdapterRankAbove",
                 [](auto& spec) { spec.mutable_finetune()->mutable_lora()->set_rank(1025); },
                 kInvalid, "finetune.lora.rank: 1025: want 0 to 1024"},
        SpecCase{"AdapterDropoutOfOne",
                 [](auto& spec) { spec.mutable_finetune()->mutable_lora()->set_dropout(1); },
                 kInvalid, "finetune.lora.dropout: 1: want 0 to 0.999"},
        SpecCase{"AdapterAlphaBelow",
                 [](auto& spec) { spec.mutable_finetune()->mutable_lora()->set_alpha(-1); },
                 kInvalid, "finetune.lora.alpha: -1"},
        SpecCase{"EmptyAdapterTarget",
                 [](auto& spec) { spec.mutable_finetune()->mutable_lora()->add_targets(""); },
                 kInvalid, "finetune.lora.targets: one of the names is empty"},
        SpecCase{"RoundedToAdaptive",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_quantization(v1::QUANTIZATION_ADAPTIVE);
                 },
                 kInvalid, "finetune.quantization: adaptive"},
        SpecCase{
            "RoundedToInt4",
            [](auto& spec) { spec.mutable_finetune()->set_quantization(v1::QUANTIZATION_INT4); },
            absl::StatusCode::kOk, ""},
        SpecCase{"AdaptersBesideAdaptive",
                 [](auto& spec) {
                   spec.mutable_finetune()->mutable_lora();
                   spec.mutable_finetune()->set_quantization(v1::QUANTIZATION_ADAPTIVE);
                 },
                 kInvalid, "finetune.quantization: adaptive"},
        SpecCase{"MergeIntoQuantized",
                 [](auto& spec) {
                   spec.mutable_finetune()->mutable_lora()->set_merge(true);
                   spec.mutable_finetune()->set_quantization(v1::QUANTIZATION_INT8);
                 },
                 kInvalid, "finetune.lora.merge: weights that are int8"},
        SpecCase{"LastLayersBelow",
                 [](auto& spec) { spec.mutable_finetune()->set_last_layers(-1); }, kInvalid,
                 "finetune.last_layers: -1: want 0 to 1000"},
        SpecCase{"LastLayersWithAdapters",
                 [](auto& spec) {
                   spec.mutable_finetune()->mutable_lora();
                   spec.mutable_finetune()->set_last_layers(1);
                 },
                 kInvalid, "finetune.last_layers: 1: adapters stand beside every layer"},
        SpecCase{"Fp16ThatUpdatesInTheBackwardPass",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_precision(v1::PRECISION_FP16);
                   spec.mutable_finetune()->set_update_in_backward(true);
                 },
                 kInvalid, "finetune.update_in_backward: does not go with precision: fp16"},
        SpecCase{"MezoInFp16",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_precision(v1::PRECISION_FP16);
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                 },
                 absl::StatusCode::kOk, ""},
        SpecCase{"MezoInBf16",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_precision(v1::PRECISION_BF16);
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                 },
                 absl::StatusCode::kOk, ""},
        SpecCase{"Bf16WeightsWithMezo",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                 },
                 kInvalid, "finetune.optimizer: does not go with weights_precision: bf16"},
        SpecCase{"Bf16WeightsAwareOfQuantization",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
                   spec.mutable_finetune()->set_quantization(v1::QUANTIZATION_INT8);
                 },
                 kInvalid, "finetune.quantization: does not go with weights_precision: bf16"},
        SpecCase{"Bf16WeightsThatTakeAdaptersIn",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
                   spec.mutable_finetune()->mutable_lora()->set_merge(true);
                 },
                 kInvalid, "finetune.lora.merge: does not go with weights_precision: bf16"},
        SpecCase{"MezoOfAnotherOptimizer",
                 [](auto& spec) { spec.mutable_finetune()->mutable_mezo()->set_samples(2); },
                 kInvalid, "finetune.mezo: only optimizer: mezo has it"},
        SpecCase{"MezoWithAClippedGradient",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                   spec.mutable_finetune()->set_clip_norm(1);
                 },
                 kInvalid, "finetune.clip_norm: does not go with optimizer: mezo"},
        SpecCase{"MezoWithMoments",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                   spec.mutable_finetune()->set_adam_beta2(0.9);
                 },
                 kInvalid, "finetune.adam_beta2: does not go with optimizer: mezo"},
        SpecCase{"MezoThatUpdatesInTheBackwardPass",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                   spec.mutable_finetune()->set_update_in_backward(true);
                 },
                 kInvalid, "finetune.update_in_backward: does not go with optimizer: mezo"},
        SpecCase{"MezoWithCheckpointing",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                   spec.mutable_finetune()->set_activation_checkpointing(true);
                 },
                 kInvalid, "finetune.activation_checkpointing: does not go with optimizer: mezo"},
        SpecCase{"MezoWithDropoutOfAdapters",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                   spec.mutable_finetune()->mutable_lora()->set_dropout(0.1);
                 },
                 kInvalid, "finetune.lora.dropout: does not go with optimizer: mezo"},
        SpecCase{"MezoAwareOfQuantization",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                   spec.mutable_finetune()->set_quantization(v1::QUANTIZATION_INT8);
                 },
                 kInvalid, "finetune.quantization: does not go with optimizer: mezo"},
        SpecCase{"SixBitsAreAFormOfFilesAlone",
                 [](v1::JobSpec& spec) {
                   v1::TensorFormat& head =
                       *spec.mutable_generate()->mutable_recipe()->mutable_head();
                   spec.mutable_generate()->set_model("m");
                   spec.mutable_generate()->add_prompts("p");
                   head.set_bits(6);
                   head.set_group_size(16);
                 },
                 kInvalid, "generate.recipe.head: bits: 6; whole numbers have 8 or 4"},
        SpecCase{"MezoAwareOfARecipe",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                   spec.mutable_finetune()->mutable_recipe()->mutable_matrices()->set_bits(8);
                 },
                 kInvalid, "finetune.recipe: does not go with optimizer: mezo"},
        SpecCase{"Int8KeysAndValuesInTraining",
                 [](auto& spec) {
                   spec.mutable_finetune()->mutable_recipe()->mutable_kv_cache()->set_bits(8);
                 },
                 kInvalid, "finetune.recipe.kv_cache: bits: 8: training keeps keys and values"},
        SpecCase{"Int8KeysAndValuesBesideAdapters",
                 [](auto& spec) {
                   spec.mutable_finetune()->mutable_lora();
                   spec.mutable_finetune()->mutable_recipe()->mutable_matrices()->set_bits(8);
                   spec.mutable_finetune()->mutable_recipe()->mutable_kv_cache()->set_bits(8);
                 },
                 kInvalid, "finetune.recipe.kv_cache: bits: 8: training keeps keys and values"},
        SpecCase{"MezoWithTooManyDirections",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_MEZO);
                   spec.mutable_finetune()->mutable_mezo()->set_samples(65);
                 },
                 kInvalid, "finetune.mezo.samples: 65"},
        SpecCase{"AdafactorWithAMomentOfAdam",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_optimizer(v1::OPTIMIZER_ADAFACTOR);
                   spec.mutable_finetune()->set_adam_beta1(0.8);
                 },
                 kInvalid, "finetune.adam_beta1: does not go with optimizer: adafactor"},
        SpecCase{"UpdatesInBackwardWithAccumulation",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_update_in_backward(true);
                   spec.mutable_finetune()->set_gradient_accumulation_steps(2);
                 },
                 kInvalid, "finetune.update_in_backward: keeps no gradients that 2"},
        SpecCase{"UpdatesInBackwardOfAdapters",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_update_in_backward(true);
                   spec.mutable_finetune()->mutable_lora();
                 },
                 kInvalid, "finetune.update_in_backward: the gradients of adapters are small"},
        SpecCase{"EarlyStopWithoutHeldoutData",
                 [](auto& spec) {
                   spec.mutable_finetune()->clear_heldout_data();
                   spec.mutable_finetune()->set_early_stop_evaluations(2);
                 },
                 kInvalid, "finetune.early_stop_evaluations: 2: wants heldout_data"},
        SpecCase{"EarlyStopWithoutEvaluations",
                 [](auto& spec) {
                   spec.mutable_finetune()->set_heldout_data("squad-dev");
                   spec.mutable_finetune()->set_early_stop_evaluations(2);
                 },
                 kInvalid, "finetune.early_stop_evaluations: 2: wants evaluate_every_steps"},
        SpecCase{"UnknownEnum",
                 [](auto& spec) { spec.set_objective(static_cast<v1::Objective>(77)); },
                 kUnsupported, "objective: value 77: not supported in this version"},
        SpecCase{"UnknownField",
                 [](auto& spec) {
                   spec.GetReflection()->MutableUnknownFields(&spec)->AddVarint(999, 1);
                 },
                 kUnsupported, "field number 999: not supported in this version"},
        SpecCase{"UnknownNestedField",
                 [](auto& spec) {
                   auto* inner = spec.mutable_finetune();
                   inner->GetReflection()->MutableUnknownFields(inner)->AddVarint(998, 1);
                 },
                 kUnsupported, "finetune: field number 998"},
        SpecCase{"ShapeAtSubmit", [](auto& spec) { spec = Declared(); }, kInvalid,
                 "files are needed to run"},
        SpecCase{"ModelAndShape",
                 [](auto& spec) { *spec.mutable_finetune()->mutable_model_shape() = Shape(); },
                 kInvalid, "give either model or model_shape"},
        SpecCase{"NoModel", [](auto& spec) { spec.mutable_finetune()->clear_model(); }, kInvalid,
                 "finetune.model: missing"},
        SpecCase{"QuantizeToNothing",
                 [](auto& spec) {
                   spec.mutable_quantize()->set_model("tiny");
                   spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_NONE);
                 },
                 kInvalid, "quantize.quantization"},
        SpecCase{"CompensationWithoutCalibration",
                 [](auto& spec) {
                   spec.mutable_quantize()->set_model("tiny");
                   spec.mutable_quantize()->set_rounding(v1::ROUNDING_COMPENSATED);
                 },
                 kInvalid, "quantize.calibration_data: missing"},
        SpecCase{"CalibrationWithoutCompensation",
                 [](auto& spec) {
                   spec.mutable_quantize()->set_model("tiny");
                   spec.mutable_quantize()->set_calibration_data("x");
                 },
                 kInvalid, "write rounding: compensated"},
        SpecCase{"AdaptiveWithoutCalibration",
                 [](auto& spec) {
                   spec.mutable_quantize()->set_model("tiny");
                   spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_ADAPTIVE);
                 },
                 kInvalid, "quantize.calibration_data: missing"},
        SpecCase{"ABudgetWithoutAdaptive",
                 [](auto& spec) {
                   spec.mutable_quantize()->set_model("tiny");
                   spec.mutable_quantize()->set_size_budget_bytes(1000);
                 },
                 kInvalid, "write quantization: adaptive"},
        SpecCase{"ABudgetAndAFloor",
                 [](auto& spec) {
                   spec.mutable_quantize()->set_model("tiny");
                   spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_ADAPTIVE);
                   spec.mutable_quantize()->set_calibration_data("x");
                   spec.mutable_quantize()->set_size_budget_bytes(1000);
                   spec.mutable_quantize()->set_perplexity_change_percent_max(1);
                 },
                 kInvalid, "leave one of the two out"},
        SpecCase{"AdaptiveWithoutAQuantizeJob",
                 [](auto& spec) {
                   spec.mutable_generate()->set_model("tiny");
                   spec.mutable_generate()->add_prompts("y");
                   spec.mutable_generate()->set_quantization(v1::QUANTIZATION_ADAPTIVE);
                 },
                 kInvalid, "generate.quantization: adaptive: a quantize job finds"},
        SpecCase{"AnEmptyStop",
                 [](auto& spec) {
                   spec.mutable_generate()->set_model("tiny");
                   spec.mutable_generate()->add_prompts("y");
                   spec.mutable_generate()->add_stop("");
                 },
                 kInvalid, "generate.stop: one of the texts is empty"},
        SpecCase{"AnswerLengthWithoutAnswers",
                 [](auto& spec) {
                   spec.mutable_evaluate()->set_model("tiny");
                   spec.mutable_evaluate()->set_data("x");
                   spec.mutable_evaluate()->set_max_answer_tokens(8);
                 },
                 kInvalid, "write score_answers: true"},
        SpecCase{"PromptsAndData",
                 [](auto& spec) {
                   spec.mutable_generate()->set_model("tiny");
                   spec.mutable_generate()->set_data("x");
                   spec.mutable_generate()->add_prompts("y");
                 },
                 kInvalid, "generate.prompts: give either"},
        SpecCase{"TopPAbove",
                 [](auto& spec) {
                   spec.mutable_generate()->set_model("tiny");
                   spec.mutable_generate()->add_prompts("y");
                   spec.mutable_generate()->set_top_p(1.5);
                 },
                 kInvalid, "generate.top_p: 1.5: want 0 to 1"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ValidateSpecTest, DeclaredShapesAreForDryRuns) {
  EXPECT_THAT(ValidateSpec(Declared(), false), IsOk());
  v1::JobSpec other = Declared();
  other.mutable_finetune()->mutable_model_shape()->set_architecture("mamba");
  EXPECT_THAT(ValidateSpec(other, false),
              StatusIs(kUnsupported, HasSubstr("finetune.model_shape.architecture: \"mamba\"")));
  other = Declared();
  other.mutable_finetune()->mutable_model_shape()->set_heads(3);
  EXPECT_THAT(ValidateSpec(other, false), StatusIs(kInvalid, HasSubstr("divisor of width 64")));
}

TEST(CoreJobKindsTest, EachKindHasAPart) {
  EXPECT_EQ(JobKindsWithout(KindParts()), "");
  EXPECT_EQ(JobKindsWithout(KindParts(), JobKindsAndADummy()), "dummy");
  for (const KindPart& part : KindParts()) {
    EXPECT_NE(part.check, nullptr) << part.kind_case;
  }
}

}  // namespace
}  // namespace wattle::core
