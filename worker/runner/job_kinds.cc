// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/job_kinds.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/data_set.h"
#include "models/decoder_config.h"
#include "proto/job_kind.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_defaults.h"
#include "proto/training_signature.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/quant/quantize.h"

namespace wattle::runner {
namespace {

using Metrics = std::map<std::string, double>;  // sorted by name, as the protocol requires

constexpr char kGenerationsFile[] = "generations.jsonl";
constexpr char kMetricsFile[] = "metrics.json";
constexpr char kFormsFile[] = "quantization.json";
constexpr char kPredictionsFile[] = "predictions.json";

// Defaults of spec.proto, in addition to those of proto/spec_defaults.h.
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

// The recipe in a spec; nullopt: keep the form of the model's files.
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

formats::LossOn LossOnOf(v1::LossOn loss_on) {
  return loss_on == v1::LOSS_ON_ALL ? formats::LossOn::kAll : formats::LossOn::kAnswer;
}

engine::ModelJob ModelOf(const v1::RunnerTask& task) {
  return {.directory = task.model_directory(),
          .device = OrDefault<std::string>(task.device(), "cpu")};
}

// Creates the directory of the result. A task without one only measures a run and keeps nothing.
absl::StatusOr<bool> KeepsResult(const v1::RunnerTask& task) {
  if (task.output_directory().empty()) {
    return false;
  }
  WATTLE_RETURN_IF_ERROR(MakeDirectories(task.output_directory()));
  return true;
}

absl::Status WriteMetrics(const std::string& directory, const Metrics& metrics) {
  const nlohmann::json json = metrics;
  return WriteFileDurably(absl::StrCat(directory, "/", kMetricsFile), json.dump(1) + "\n");
}

// The parts of a result common to all kinds.
v1::RunnerResult Result(const v1::RunnerTask& task, const engine::ModelFigures& model,
                        const engine::WorkTotals& totals, const Metrics& metrics) {
  v1::RunnerResult result;
  result.set_engine_version(engine::EngineVersion());
  result.set_threads(task.threads());
  *result.mutable_model_shape() = models::ToShape(model.config);
  result.set_parameter_count(model.parameter_count);
  result.set_quantization(RecipeIdentity(model.recipe));
  *result.mutable_recipe() = model.recipe;
  for (const auto& [name, value] : metrics) {
    v1::Metric& metric = *result.add_metrics();
    metric.set_name(name);
    metric.set_value(value);
  }
  v1::WorkDone& work = *result.mutable_work();
  work.set_steps(totals.steps);
  work.set_examples(totals.examples);
  work.set_tokens(totals.tokens);
  work.set_real_tokens(totals.real_tokens);
  v1::WorkloadSignature& signature = *work.mutable_signature();
  *signature.mutable_model() = result.model_shape();
  signature.set_precision("fp32");
  signature.set_quantization(result.quantization());
  if (model.recipe.exceptions_size() > 0) {  // the identity contains only their hash
    *signature.mutable_recipe() = model.recipe;
  }
  signature.set_engine("wattle");
  signature.set_engine_version(result.engine_version());
  return result;
}

// units: of the kind that uses the method.
void SetWork(v1::WorkDone& work, v1::Method method, int64_t units) {
  work.mutable_signature()->set_method(method);
  work.set_unit(KindOf(method).unit);
  work.set_units(static_cast<double>(units));
}

int32_t SequenceLengthOf(int64_t wanted, const engine::ModelFigures& model) {
  return static_cast<int32_t>(wanted > 0 ? wanted : model.config.max_positions);
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
    case v1::PRECISION_TF32:
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

v1::Method MethodOf(const engine::FinetuneSettings& settings, const std::string& quantization) {
  if (!settings.lora.has_value()) {
    return v1::METHOD_FINETUNE_FULL;
  }
  return quantization == kNoQuantization ? v1::METHOD_FINETUNE_LORA : v1::METHOD_FINETUNE_QLORA;
}

}  // namespace

absl::StatusOr<engine::FinetuneSettings> FinetuneSettingsOf(const v1::RunnerTask& task) {
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
      OrDefault<int64_t>(spec.checkpoint_every_steps(),
                         task.checkpoints_when_told() ? 0 : kCheckpointEveryStepsDefault);
  settings.threads = task.threads();
  settings.activation_checkpointing = spec.activation_checkpointing();
  WATTLE_ASSIGN_OR_RETURN(settings.precision, FactorsOf(spec.precision()));
  settings.tf32 = spec.precision() == v1::PRECISION_TF32;
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

namespace {

absl::StatusOr<v1::RunnerResult> RunFinetune(const v1::RunnerTask& task,
                                             engine::ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(const engine::FinetuneSettings settings, FinetuneSettingsOf(task));
  WATTLE_RETURN_IF_ERROR(MakeDirectories(settings.work_directory));
  WATTLE_ASSIGN_OR_RETURN(const auto done, engine::Finetune(settings, sink));
  Metrics metrics = {{"train_loss_first", done.train_loss_first},
                     {"train_loss_last", done.train_loss_last},
                     {"truncated_examples", static_cast<double>(done.truncated_examples)},
                     {"dropped_examples", static_cast<double>(done.dropped_examples)}};
  if (done.heldout_loss_before.has_value()) {
    metrics["heldout_loss_before"] = *done.heldout_loss_before;
  }
  if (done.heldout_loss_after.has_value()) {
    metrics["heldout_loss_after"] = *done.heldout_loss_after;
  }
  if (done.best_step.has_value()) {
    metrics["best_step"] = static_cast<double>(*done.best_step);
  }
  if (done.loss_scale.has_value()) {
    metrics["loss_scale"] = done.loss_scale->scale;
    metrics["skipped_steps"] = static_cast<double>(done.loss_scale->skipped_steps);
  }
  v1::RunnerResult result = Result(task, done.model, done.work, metrics);
  v1::WorkDone& work = *result.mutable_work();
  SetWork(work, MethodOf(settings, result.quantization()), done.work.tokens);
  SetTrainingSettings(task.spec().finetune(), *work.mutable_signature());
  if (!settings.lora.has_value() && settings.model.recipe.has_value()) {
    work.mutable_signature()->set_quantization(RecipeIdentity(*settings.model.recipe));
  }
  if (settings.lora.has_value()) {
    work.mutable_signature()->set_adapter_rank(static_cast<int32_t>(settings.lora->rank));
  }
  work.set_truncated_examples(done.truncated_examples);
  result.set_numerically_continued(done.numerically_continued);
  work.mutable_signature()->set_batch_size(static_cast<int32_t>(settings.batch_size));
  work.mutable_signature()->set_sequence_length(
      SequenceLengthOf(settings.examples.sequence_length, done.model));
  return result;
}

// The form of every matrix and table of a quantized model, and of its keys and values.
absl::Status WriteForms(const std::string& directory, const engine::QuantizeResult& done) {
  nlohmann::ordered_json matrices = nlohmann::ordered_json::array();
  for (const engine::StoredMatrix& matrix : done.matrices) {
    nlohmann::ordered_json line = {{"tensor", matrix.tensor},
                                   {"format", matrix.format},
                                   {"stored_bytes", matrix.stored_bytes}};
    if (matrix.importance.has_value()) {
      line["importance_nats"] = *matrix.importance;
    }
    matrices.push_back(std::move(line));
  }
  nlohmann::ordered_json forms = {
      {"quantization", RecipeIdentity(done.model.recipe)},
      {"stored_bytes", done.stored_bytes},
      {"kv_cache", KeysAndValuesAreInt8(done.model.recipe) ? "int8" : "fp32"},
      {"norms_and_biases", "fp32"},
      {"matrices", matrices}};
  if (done.quality.has_value()) {
    forms["quality"] = {{"kl_divergence", done.quality->kl_divergence},
                        {"perplexity_change_percent", done.quality->perplexity_change_percent},
                        {"top1_agreement_percent", 100.0 * done.quality->top1_agreement},
                        {"predicted_tokens", done.quality->predicted_tokens}};
  }
  return WriteFileDurably(absl::StrCat(directory, "/", kFormsFile), forms.dump(1) + "\n");
}

absl::StatusOr<engine::QuantizeSettings> QuantizeSettingsOf(const v1::RunnerTask& task) {
  if (task.output_directory().empty()) {
    return Missing("output_directory");
  }
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

absl::StatusOr<v1::RunnerResult> RunQuantize(const v1::RunnerTask& task,
                                             engine::ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(const engine::QuantizeSettings settings, QuantizeSettingsOf(task));
  WATTLE_ASSIGN_OR_RETURN(const auto done, engine::Quantize(settings, sink));
  const bool calibrated = !settings.calibration_data.empty();
  Metrics metrics = {{"bits_per_weight", 8.0 * static_cast<double>(done.stored_bytes) /
                                             static_cast<double>(done.weights)},
                     {"stored_bytes", static_cast<double>(done.stored_bytes)}};
  if (calibrated) {
    metrics["calibration_tokens"] = static_cast<double>(done.calibration_tokens);
  }
  if (done.quality.has_value()) {
    metrics["kl_divergence"] = done.quality->kl_divergence;
    metrics["perplexity_change_percent"] = done.quality->perplexity_change_percent;
    metrics["top1_agreement_percent"] = 100.0 * done.quality->top1_agreement;
    metrics["predicted_tokens"] = static_cast<double>(done.quality->predicted_tokens);
  }
  WATTLE_RETURN_IF_ERROR(WriteForms(task.output_directory(), done));
  v1::RunnerResult result = Result(task, done.model, done.work, metrics);
  SetWork(*result.mutable_work(),
          settings.adaptive.has_value() ? v1::METHOD_QUANTIZE_ADAPTIVE
          : calibrated                  ? v1::METHOD_QUANTIZE_COMPENSATED
                                        : v1::METHOD_QUANTIZE,
          done.quantized_parameters);
  if (settings.adaptive.has_value()) {
    // Another search takes as long, even if it finds another recipe.
    result.mutable_work()->mutable_signature()->set_quantization(kAdaptiveQuantization);
    result.mutable_work()->mutable_signature()->clear_recipe();
  }
  return result;
}

}  // namespace

absl::StatusOr<engine::GenerateSettings> GenerateSettingsOf(const v1::RunnerTask& task) {
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
  // For a run of a profile job: so many prompts, repeated from the first one if there are fewer.
  for (size_t i = 0; spec.prompt_count() > 0 &&
                     settings.prompts.size() < static_cast<size_t>(spec.prompt_count());
       ++i) {
    settings.prompts.push_back(settings.prompts[i]);
  }
  if (spec.prompt_count() > 0) {
    settings.prompts.resize(static_cast<size_t>(spec.prompt_count()));
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

namespace {

absl::Status WriteGenerations(const std::string& directory,
                              const std::vector<engine::Generation>& generations) {
  std::string lines;
  for (const engine::Generation& generation : generations) {
    const nlohmann::ordered_json line = {
        {"id", generation.id},
        {"prompt", generation.prompt},
        {"text", generation.text},
        {"prompt_tokens", generation.prompt_tokens},
        {"generated_tokens", generation.generated_tokens},
        {"finish_reason", std::string(engine::FinishReasonName(generation.finish))}};
    // A text cut within a character is not UTF-8: its last bytes become U+FFFD.
    lines += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  return WriteFileDurably(absl::StrCat(directory, "/", kGenerationsFile), lines);
}

absl::StatusOr<v1::RunnerResult> RunGenerate(const v1::RunnerTask& task,
                                             engine::ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(const engine::GenerateSettings settings, GenerateSettingsOf(task));
  WATTLE_ASSIGN_OR_RETURN(const bool keeps_result, KeepsResult(task));
  WATTLE_ASSIGN_OR_RETURN(const auto done, engine::Generate(settings, sink));
  const Metrics metrics = {{"generated_tokens", static_cast<double>(done.generated_tokens)},
                           {"prompt_tokens", static_cast<double>(done.prompt_tokens)},
                           {"prompts", static_cast<double>(done.generations.size())}};
  if (keeps_result) {
    WATTLE_RETURN_IF_ERROR(WriteGenerations(task.output_directory(), done.generations));
    WATTLE_RETURN_IF_ERROR(WriteMetrics(task.output_directory(), metrics));
  }
  v1::RunnerResult result = Result(task, done.model, done.work, metrics);
  v1::WorkDone& work = *result.mutable_work();
  SetWork(work, v1::METHOD_GENERATE, done.generated_tokens);
  work.set_prompt_tokens(done.prompt_tokens);
  work.set_generated_tokens(done.generated_tokens);
  work.set_truncated_examples(
      std::count_if(done.generations.begin(), done.generations.end(), [](const auto& text) {
        return text.finish == engine::FinishReason::kLength ||
               text.finish == engine::FinishReason::kContext;
      }));
  work.mutable_signature()->set_batch_size(static_cast<int32_t>(settings.batch_size));
  return result;
}

// The answers in the format of SQuAD's official script: {"question id": "answer"}.
absl::Status WritePredictions(const std::string& directory, const engine::AnswerFigures& answers) {
  nlohmann::json predictions = nlohmann::json::object();
  for (const auto& [id, text] : answers.answers) {
    predictions[id] = text;
  }
  return WriteFileDurably(
      absl::StrCat(directory, "/", kPredictionsFile),
      predictions.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

// docs/guide/job-file.md documents the names.
Metrics MetricsOf(const engine::EvaluateResult& done) {
  const engine::LossFigures& figures = done.figures;
  Metrics metrics = {{"loss", figures.loss},
                     {"perplexity", figures.perplexity},
                     {"predicted_tokens", static_cast<double>(figures.predicted_tokens)}};
  if (done.text.has_value()) {
    metrics["window_tokens"] = static_cast<double>(done.text->window_tokens);
    metrics["stride_tokens"] = static_cast<double>(done.text->stride_tokens);
    metrics["bits_per_byte"] = done.text->bits_per_byte;
    metrics["word_perplexity"] = done.text->word_perplexity;
  }
  if (figures.reference.has_value()) {
    metrics["reference_loss"] = figures.reference->loss;
    metrics["reference_perplexity"] = std::exp(figures.reference->loss);
    metrics["perplexity_change_percent"] =
        100.0 * std::expm1(figures.loss - figures.reference->loss);
    metrics["kl_divergence"] = figures.reference->kl_divergence;
    metrics["top1_agreement_percent"] = 100.0 * figures.reference->top1_agreement;
  }
  if (done.answers.has_value()) {
    metrics["squad_exact_match_percent"] = done.answers->exact_match_percent;
    metrics["squad_f1_percent"] = done.answers->f1_percent;
    metrics["squad_questions"] = static_cast<double>(done.answers->answers.size());
  }
  return metrics;
}

// Must match scheduler/predict/job_kinds.cc.
v1::Method MethodOf(const engine::EvaluateSettings& settings) {
  if (settings.score_answers) {
    return v1::METHOD_EVALUATE_ANSWERS;
  }
  return settings.reference_directory.empty() ? v1::METHOD_EVALUATE : v1::METHOD_EVALUATE_AGAINST;
}

absl::StatusOr<engine::EvaluateSettings> EvaluateSettingsOf(const v1::RunnerTask& task) {
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

absl::StatusOr<v1::RunnerResult> RunEvaluate(const v1::RunnerTask& task,
                                             engine::ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(const engine::EvaluateSettings settings, EvaluateSettingsOf(task));
  WATTLE_ASSIGN_OR_RETURN(const bool keeps_result, KeepsResult(task));
  WATTLE_ASSIGN_OR_RETURN(const auto done, engine::Evaluate(settings, sink));
  const Metrics metrics = MetricsOf(done);
  if (keeps_result && done.answers.has_value()) {
    WATTLE_RETURN_IF_ERROR(WritePredictions(task.output_directory(), *done.answers));
  }
  if (keeps_result) {
    WATTLE_RETURN_IF_ERROR(WriteMetrics(task.output_directory(), metrics));
  }
  v1::RunnerResult result = Result(task, done.model, done.figures.work, metrics);
  v1::WorkDone& work = *result.mutable_work();
  // Units are the tokens of the loss, which a plan can count before the job has run.
  SetWork(work, MethodOf(settings), done.figures.work.tokens);
  if (done.answers.has_value()) {
    work.set_prompt_tokens(done.answers->prompt_tokens);
    work.set_generated_tokens(done.answers->generated_tokens);
  }
  work.set_bytes_per_token(done.bytes_per_token);
  work.set_truncated_examples(done.truncated_examples);
  work.mutable_signature()->set_batch_size(static_cast<int32_t>(settings.batch_size));
  work.mutable_signature()->set_sequence_length(
      SequenceLengthOf(settings.examples.sequence_length, done.model));
  return result;
}

constexpr KindPart kParts[] = {
    {.kind_case = v1::JobSpec::kFinetune, .run = RunFinetune},
    {.kind_case = v1::JobSpec::kQuantize, .run = RunQuantize},
    {.kind_case = v1::JobSpec::kGenerate, .run = RunGenerate},
    {.kind_case = v1::JobSpec::kEvaluate, .run = RunEvaluate},
};

}  // namespace

absl::Span<const KindPart> KindParts() {
  return kParts;
}

absl::StatusOr<v1::RunnerResult> RunJob(const v1::RunnerTask& task, engine::ProgressSink& sink) {
  if (task.model_directory().empty()) {
    return Missing("model_directory");
  }
  const KindPart* const part = PartOfKind(task.spec().kind_case(), KindParts());
  return part == nullptr ? Missing("spec.kind") : part->run(task, sink);
}

}  // namespace wattle::runner
