// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/run_task.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "models/decoder_config.h"
#include "proto/quantization_recipe.h"
#include "proto/training_signature.h"
#include "worker/runner/task_settings.h"

namespace wattle::runner {
namespace {

using Metrics = std::map<std::string, double>;  // sorted by name, as the contract wants

constexpr char kGenerationsFile[] = "generations.jsonl";
constexpr char kMetricsFile[] = "metrics.json";
constexpr char kFormsFile[] = "quantization.json";
constexpr char kPredictionsFile[] = "predictions.json";

// VmHWM of this process; 0 where it cannot be read. Not ru_maxrss, which begins with the peak of
// the process that started this one.
int64_t PeakMemoryBytes() {
  constexpr absl::string_view kField = "VmHWM:";
  const absl::StatusOr<std::string> status = ReadWholeFile("/proc/self/status");
  if (!status.ok()) {
    return 0;
  }
  for (absl::string_view line : absl::StrSplit(*status, '\n')) {
    int64_t kib = 0;
    if (absl::ConsumePrefix(&line, kField) && absl::ConsumeSuffix(&line, " kB") &&
        absl::SimpleAtoi(line, &kib)) {
      return kib * 1024;
    }
  }
  return 0;
}

absl::Status WriteMetrics(const std::string& directory, const Metrics& metrics) {
  const nlohmann::json json = metrics;
  return WriteFileDurably(absl::StrCat(directory, "/", kMetricsFile), json.dump(1) + "\n");
}

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

// The answers in the form that SQuAD's official script reads: {"question id": "answer"}.
absl::Status WritePredictions(const std::string& directory, const engine::AnswerFigures& answers) {
  nlohmann::json predictions = nlohmann::json::object();
  for (const auto& [id, text] : answers.answers) {
    predictions[id] = text;
  }
  return WriteFileDurably(
      absl::StrCat(directory, "/", kPredictionsFile),
      predictions.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
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

// The names stand in docs/guide/job-file.md.
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

// As scheduler/predict/work.cc has it.
v1::Method MethodOf(const engine::EvaluateSettings& settings) {
  if (settings.score_answers) {
    return v1::METHOD_EVALUATE_ANSWERS;
  }
  return settings.reference_directory.empty() ? v1::METHOD_EVALUATE : v1::METHOD_EVALUATE_AGAINST;
}

v1::Method MethodOf(const engine::FinetuneSettings& settings, const std::string& quantization) {
  if (!settings.lora.has_value()) {
    return v1::METHOD_FINETUNE_FULL;
  }
  return quantization == kNoQuantization ? v1::METHOD_FINETUNE_LORA : v1::METHOD_FINETUNE_QLORA;
}

// The parts of a result that all kinds have.
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
  if (model.recipe.exceptions_size() > 0) {  // the identity holds their hash alone
    *signature.mutable_recipe() = model.recipe;
  }
  signature.set_engine("wattle");
  signature.set_engine_version(result.engine_version());
  return result;
}

void SetWork(v1::WorkDone& work, v1::Method method, v1::WorkUnit unit, int64_t units) {
  work.mutable_signature()->set_method(method);
  work.set_unit(unit);
  work.set_units(static_cast<double>(units));
}

int32_t SequenceLengthOf(int64_t wanted, const engine::ModelFigures& model) {
  return static_cast<int32_t>(wanted > 0 ? wanted : model.config.max_positions);
}

// One overload for each kind of job.
class JobRunner {
 public:
  JobRunner(const v1::RunnerTask& task, engine::ProgressSink& sink) : task_(task), sink_(sink) {}

  absl::StatusOr<v1::RunnerResult> operator()(const engine::FinetuneSettings& settings) {
    WATTLE_RETURN_IF_ERROR(MakeDirectories(settings.work_directory));
    WATTLE_ASSIGN_OR_RETURN(const auto done, engine::Finetune(settings, sink_));
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
    v1::RunnerResult result = Result(task_, done.model, done.work, metrics);
    v1::WorkDone& work = *result.mutable_work();
    SetWork(work, MethodOf(settings, result.quantization()), v1::WORK_UNIT_TRAINING_TOKEN,
            done.work.tokens);
    SetTrainingSettings(task_.spec().finetune(), *work.mutable_signature());
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

  absl::StatusOr<v1::RunnerResult> operator()(const engine::QuantizeSettings& settings) {
    WATTLE_ASSIGN_OR_RETURN(const auto done, engine::Quantize(settings, sink_));
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
    WATTLE_RETURN_IF_ERROR(WriteForms(task_.output_directory(), done));
    v1::RunnerResult result = Result(task_, done.model, done.work, metrics);
    SetWork(*result.mutable_work(),
            settings.adaptive.has_value() ? v1::METHOD_QUANTIZE_ADAPTIVE
            : calibrated                  ? v1::METHOD_QUANTIZE_COMPENSATED
                                          : v1::METHOD_QUANTIZE,
            v1::WORK_UNIT_PARAMETER, done.quantized_parameters);
    if (settings.adaptive.has_value()) {
      // Another search is as long, whatever recipe it finds.
      result.mutable_work()->mutable_signature()->set_quantization(kAdaptiveQuantization);
      result.mutable_work()->mutable_signature()->clear_recipe();
    }
    return result;
  }

  absl::StatusOr<v1::RunnerResult> operator()(const engine::GenerateSettings& settings) {
    WATTLE_RETURN_IF_ERROR(MakeDirectories(task_.output_directory()));
    WATTLE_ASSIGN_OR_RETURN(const auto done, engine::Generate(settings, sink_));
    const Metrics metrics = {{"generated_tokens", static_cast<double>(done.generated_tokens)},
                             {"prompt_tokens", static_cast<double>(done.prompt_tokens)},
                             {"prompts", static_cast<double>(done.generations.size())}};
    WATTLE_RETURN_IF_ERROR(WriteGenerations(task_.output_directory(), done.generations));
    WATTLE_RETURN_IF_ERROR(WriteMetrics(task_.output_directory(), metrics));
    v1::RunnerResult result = Result(task_, done.model, done.work, metrics);
    v1::WorkDone& work = *result.mutable_work();
    SetWork(work, v1::METHOD_GENERATE, v1::WORK_UNIT_GENERATED_TOKEN, done.generated_tokens);
    work.set_prompt_tokens(done.prompt_tokens);
    work.set_generated_tokens(done.generated_tokens);
    work.mutable_signature()->set_batch_size(static_cast<int32_t>(settings.batch_size));
    return result;
  }

  absl::StatusOr<v1::RunnerResult> operator()(const engine::EvaluateSettings& settings) {
    WATTLE_RETURN_IF_ERROR(MakeDirectories(task_.output_directory()));
    WATTLE_ASSIGN_OR_RETURN(const auto done, engine::Evaluate(settings, sink_));
    const Metrics metrics = MetricsOf(done);
    if (done.answers.has_value()) {
      WATTLE_RETURN_IF_ERROR(WritePredictions(task_.output_directory(), *done.answers));
    }
    WATTLE_RETURN_IF_ERROR(WriteMetrics(task_.output_directory(), metrics));
    v1::RunnerResult result = Result(task_, done.model, done.figures.work, metrics);
    v1::WorkDone& work = *result.mutable_work();
    // Units are the tokens of the loss: what a plan counts before the job has run.
    SetWork(work, MethodOf(settings), v1::WORK_UNIT_EVALUATED_TOKEN, done.figures.work.tokens);
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

 private:
  const v1::RunnerTask& task_;
  engine::ProgressSink& sink_;
};

absl::StatusOr<v1::RunnerResult> Run(const v1::RunnerTask& task, FrameSink& sink) {
  WATTLE_RETURN_IF_ERROR(engine::SetThreads(task.threads()));
  WATTLE_ASSIGN_OR_RETURN(const JobSettings settings, SettingsOf(task));
  return std::visit(JobRunner(task, sink), settings);
}

}  // namespace

v1::RunnerFrame RunTask(const v1::RunnerTask& task, FrameSink& sink) {
  v1::RunnerTask own = task;
  own.set_threads(std::max(1, task.threads()));
  auto result = Run(own, sink);
  v1::RunnerFrame frame;
  if (result.ok()) {
    result->set_peak_memory_bytes(PeakMemoryBytes());
    *frame.mutable_result() = *std::move(result);
  } else if (absl::IsCancelled(result.status())) {
    frame.mutable_stopped()->set_step(sink.checkpointed_step());
  } else {
    frame.mutable_failure()->set_failure_class(FailureClassOf(result.status()));
    frame.mutable_failure()->set_message(std::string(result.status().message()));
  }
  return frame;
}

v1::FailureClass FailureClassOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
      return v1::FAILURE_CLASS_SPEC;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnimplemented:
      return v1::FAILURE_CLASS_DATA;
    case absl::StatusCode::kAborted:
      return v1::FAILURE_CLASS_JOB;
    default:
      return v1::FAILURE_CLASS_DEVICE;
  }
}

}  // namespace wattle::runner
