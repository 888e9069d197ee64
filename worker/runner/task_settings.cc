// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/task_settings.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/data_set.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_defaults.h"

namespace wattle::runner {
namespace {

// Defaults of spec.proto, beside those of proto/spec_defaults.h.
constexpr double kLearningRate = 5e-5;
// MeZO's paper fine-tunes every weight at 1e-7 to 1e-6, adapters at 5e-5 to 1e-4.
constexpr double kMezoLearningRate = 1e-6;
constexpr double kMezoPerturbation = 1e-3;
constexpr double kClipNorm = 1.0;
constexpr double kAdamBeta1 = 0.9;
constexpr double kAdamBeta2 = 0.999;
constexpr double kAdamEpsilon = 1e-8;

template <typename Value>
Value OrDefault(const Value& value, const Value& fallback) {
  return value == Value{} ? fallback : value;
}

absl::Status Missing(absl::string_view field) {
  return absl::FailedPreconditionError(
      absl::StrCat(field, ": missing in the task; the job cannot run without it"));
}

// The recipe that a spec asks for; nothing: the model's files are taken as they are.
template <typename Spec>
absl::StatusOr<std::optional<v1::QuantizationRecipe>> RecipeOf(const Spec& spec) {
  const auto wanted =
      WantedQuantization(spec.quantization(), spec.has_recipe() ? &spec.recipe() : nullptr);
  if (!wanted.ok()) {
    return absl::FailedPreconditionError(wanted.status().message());
  }
  if (spec.has_recipe()) {
    return spec.recipe();
  }
  if (wanted->empty()) {
    return std::nullopt;
  }
  WATTLE_ASSIGN_OR_RETURN(v1::QuantizationRecipe recipe, RecipeOfIdentity(*wanted));
  return recipe;
}

absl::StatusOr<engine::LearningRateShape> ShapeOf(v1::LearningRateSchedule schedule) {
  switch (schedule) {
    case v1::LEARNING_RATE_SCHEDULE_UNSPECIFIED:
    case v1::LEARNING_RATE_SCHEDULE_LINEAR:
      return engine::LearningRateShape::kLinear;
    case v1::LEARNING_RATE_SCHEDULE_COSINE:
      return engine::LearningRateShape::kCosine;
    case v1::LEARNING_RATE_SCHEDULE_CONSTANT:
      return engine::LearningRateShape::kConstant;
    default:
      return absl::FailedPreconditionError(
          absl::StrCat("learning_rate_schedule: ", static_cast<int>(schedule),
                       " is not supported in this version"));
  }
}

absl::StatusOr<kernels::FactorType> FactorsOf(v1::Precision precision) {
  switch (precision) {
    case v1::PRECISION_UNSPECIFIED:
    case v1::PRECISION_FP32:
      return kernels::FactorType::kFloat32;
    case v1::PRECISION_BF16:
      return kernels::FactorType::kBf16;
    case v1::PRECISION_FP16:
      return kernels::FactorType::kFp16;
    default:
      return absl::FailedPreconditionError(absl::StrCat("precision: ", static_cast<int>(precision),
                                                        " is not supported in this version"));
  }
}

formats::LossOn LossOnOf(v1::LossOn loss_on) {
  return loss_on == v1::LOSS_ON_ALL ? formats::LossOn::kAll : formats::LossOn::kAnswer;
}

engine::ModelJob ModelOf(const v1::RunnerTask& task) {
  return {.directory = task.model_directory(),
          .device = OrDefault<std::string>(task.device(), "cpu")};
}

engine::LoraSettings LoraOf(const v1::FinetuneSpec& spec) {
  const v1::LoraSpec& lora = spec.lora();
  engine::LoraSettings settings{.rank = AdapterRankOf(lora),
                                .dropout = lora.dropout(),
                                .merge = lora.merge(),
                                .base_model = spec.model()};
  settings.alpha = OrDefault(lora.alpha(), static_cast<double>(settings.rank));
  settings.targets.assign(lora.targets().begin(), lora.targets().end());
  return settings;
}

absl::StatusOr<JobSettings> FinetuneOf(const v1::RunnerTask& task) {
  const v1::FinetuneSpec& spec = task.spec().finetune();
  if (task.data_file().empty() || task.work_directory().empty()) {
    return Missing(task.data_file().empty() ? "data_file" : "work_directory");
  }
  engine::FinetuneSettings settings;
  settings.model = ModelOf(task);
  settings.data = task.data_file();
  settings.heldout_data = task.heldout_data_file();
  settings.work_directory = task.work_directory();
  settings.free_space_reserve_bytes = task.free_space_reserve_bytes();
  settings.output_directory = task.output_directory();
  settings.epochs = OrDefault(spec.epochs(), 1);
  settings.steps = spec.steps();
  settings.examples = {.limit_examples = spec.limit_examples(),
                       .sequence_length = spec.sequence_length(),
                       .loss_on = LossOnOf(spec.loss_on())};
  settings.batch_size = OrDefault<int64_t>(spec.batch_size(), kBatchSizeDefault);
  settings.accumulation_steps = OrDefault(spec.gradient_accumulation_steps(), 1);
  const bool mezo = spec.optimizer() == v1::OPTIMIZER_MEZO;
  if (mezo) {
    settings.mezo = {.perturbation = OrDefault(spec.mezo().perturbation(), kMezoPerturbation),
                     .samples = OrDefault(spec.mezo().samples(), 1)};
  }
  settings.learning_rate =
      OrDefault(spec.learning_rate(), mezo && !spec.has_lora() ? kMezoLearningRate : kLearningRate);
  settings.warmup_steps = spec.warmup_steps();
  WATTLE_ASSIGN_OR_RETURN(settings.learning_rate_shape, ShapeOf(spec.learning_rate_schedule()));
  settings.update_in_backward = spec.update_in_backward();
  settings.optimizer = OrDefault(spec.optimizer(), v1::OPTIMIZER_ADAMW);
  settings.adamw = {.beta1 = OrDefault(spec.adam_beta1(), kAdamBeta1),
                    .beta2 = OrDefault(spec.adam_beta2(), kAdamBeta2),
                    .epsilon = OrDefault(spec.adam_epsilon(), kAdamEpsilon),
                    .weight_decay = spec.weight_decay(),
                    .clip_norm = OrDefault(spec.clip_norm(), kClipNorm)};
  settings.seed = spec.seed();
  settings.evaluate_every_steps = spec.evaluate_every_steps();
  settings.checkpoint_every_steps =
      OrDefault<int64_t>(spec.checkpoint_every_steps(), kCheckpointEveryStepsDefault);
  settings.threads = task.threads();
  settings.activation_checkpointing = spec.activation_checkpointing();
  WATTLE_ASSIGN_OR_RETURN(settings.precision, FactorsOf(spec.precision()));
  settings.bf16_weights = spec.weights_precision() == v1::WEIGHTS_PRECISION_BF16;
  settings.last_layers = spec.last_layers();
  settings.packing = spec.packing();
  settings.early_stop_evaluations = spec.early_stop_evaluations();
  WATTLE_ASSIGN_OR_RETURN(settings.model.recipe, RecipeOf(spec));
  if (spec.has_lora()) {
    settings.lora = LoraOf(spec);
  }
  return settings;
}

absl::StatusOr<JobSettings> QuantizeOf(const v1::RunnerTask& task) {
  engine::QuantizeSettings settings{.model = ModelOf(task),
                                    .output_directory = task.output_directory()};
  const v1::QuantizeSpec& spec = task.spec().quantize();
  v1::Rounding rounding = spec.rounding();
  if (spec.quantization() == v1::QUANTIZATION_ADAPTIVE) {
    settings.adaptive = {.stored_bytes = spec.size_budget_bytes(),
                         .perplexity_change_percent = spec.perplexity_change_percent_max()};
    rounding = v1::ROUNDING_COMPENSATED;
  } else {
    WATTLE_ASSIGN_OR_RETURN(settings.model.recipe, RecipeOf(spec));
    if (!settings.model.recipe.has_value()) {
      WATTLE_ASSIGN_OR_RETURN(settings.model.recipe, RecipeOfIdentity(kInt8Quantization));
    }
  }
  switch (rounding) {
    case v1::ROUNDING_UNSPECIFIED:
    case v1::ROUNDING_NEAREST:
      break;
    case v1::ROUNDING_COMPENSATED:
      if (task.calibration_data_file().empty()) {
        return Missing("calibration_data_file");
      }
      if (spec.calibration_tokens() < 0) {
        return absl::FailedPreconditionError("calibration_tokens: wants at least 1");
      }
      settings.calibration_data = task.calibration_data_file();
      settings.calibration_tokens = spec.calibration_tokens();
      break;
    default:
      return absl::FailedPreconditionError(absl::StrCat("rounding: ", static_cast<int>(rounding),
                                                        " is not supported in this version"));
  }
  return settings;
}

absl::StatusOr<JobSettings> GenerateOf(const v1::RunnerTask& task) {
  const v1::GenerateSpec& spec = task.spec().generate();
  engine::GenerateSettings settings;
  settings.model = ModelOf(task);
  WATTLE_ASSIGN_OR_RETURN(settings.model.recipe, RecipeOf(spec));
  if (!task.data_file().empty()) {
    WATTLE_ASSIGN_OR_RETURN(settings.prompts, formats::ReadPrompts(task.data_file()));
  }
  for (const std::string& prompt : spec.prompts()) {
    settings.prompts.push_back({.id = absl::StrCat(settings.prompts.size() + 1), .text = prompt});
  }
  if (settings.prompts.empty()) {
    return Missing("generate.prompts");
  }
  if (spec.chat()) {
    formats::AsConversations(settings.prompts);
  }
  if (spec.max_new_tokens() < 0 || spec.temperature() < 0.0 || spec.top_k() < 0 ||
      spec.top_p() < 0.0 || spec.top_p() > 1.0) {
    return absl::FailedPreconditionError(
        "generate: wants max_new_tokens, temperature and top_k at least 0, top_p from 0 to 1");
  }
  settings.max_new_tokens = OrDefault<int64_t>(spec.max_new_tokens(), kNewTokensDefault);
  settings.sampling = {.temperature = spec.temperature(),
                       .top_k = spec.top_k(),
                       .top_p = spec.top_p(),
                       .seed = spec.seed(),
                       .repetition_penalty = OrDefault(spec.repetition_penalty(), 1.0)};
  settings.stops.assign(spec.stop().begin(), spec.stop().end());
  settings.batch_size = OrDefault(spec.batch_size(), 1);
  if (settings.batch_size < 1) {
    return absl::FailedPreconditionError("generate.batch_size: wants at least 1");
  }
  if (spec.repetition_penalty() < 0.0 ||
      std::any_of(settings.stops.begin(), settings.stops.end(),
                  [](const std::string& stop) { return stop.empty(); })) {
    return absl::FailedPreconditionError(
        "generate: wants repetition_penalty at least 0, and stop texts that are not empty");
  }
  return settings;
}

absl::StatusOr<JobSettings> EvaluateOf(const v1::RunnerTask& task) {
  const v1::EvaluateSpec& spec = task.spec().evaluate();
  if (task.data_file().empty()) {
    return Missing("data_file");
  }
  if (spec.batch_size() < 0) {
    return absl::FailedPreconditionError("batch_size: wants at least 1");
  }
  engine::EvaluateSettings settings;
  settings.model = ModelOf(task);
  WATTLE_ASSIGN_OR_RETURN(settings.model.recipe, RecipeOf(spec));
  settings.data = task.data_file();
  settings.examples = {.limit_examples = spec.limit_examples(),
                       .sequence_length = spec.sequence_length(),
                       .loss_on = LossOnOf(spec.loss_on())};
  settings.batch_size = OrDefault<int64_t>(spec.batch_size(), kBatchSizeDefault);
  if (!spec.reference_model().empty() && task.reference_model_directory().empty()) {
    return Missing("reference_model_directory");
  }
  settings.reference_directory = task.reference_model_directory();
  settings.score_answers = spec.score_answers();
  settings.max_answer_tokens = OrDefault<int64_t>(spec.max_answer_tokens(), kNewTokensDefault);
  return settings;
}

}  // namespace

absl::StatusOr<JobSettings> SettingsOf(const v1::RunnerTask& task) {
  if (task.model_directory().empty() || task.output_directory().empty()) {
    return Missing(task.model_directory().empty() ? "model_directory" : "output_directory");
  }
  switch (task.spec().kind_case()) {
    case v1::JobSpec::kFinetune:
      return FinetuneOf(task);
    case v1::JobSpec::kQuantize:
      return QuantizeOf(task);
    case v1::JobSpec::kGenerate:
      return GenerateOf(task);
    case v1::JobSpec::kEvaluate:
      return EvaluateOf(task);
    case v1::JobSpec::KIND_NOT_SET:
      return Missing("spec.kind");
  }
  return Missing("spec.kind");
}

}  // namespace wattle::runner
