// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/evaluate/evaluate.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "formats/data_set.h"
#include "models/model_directory.h"
#include "models/tensor_plan.h"
#include "proto/spec_defaults.h"
#include "worker/engine/device/device.h"
#include "worker/engine/evaluate/length_order.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/flops.h"
#include "worker/engine/models/token_batch.h"
#include "worker/engine/pass_arena.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

struct TextExamples {
  formats::ExamplePool pool;
  TextFigures figures;  // only how it was cut
  double bytes = 0.0;
  double words = 0.0;
  double tokens = 0.0;
};

absl::StatusOr<TextExamples> CutText(const EvaluateSettings& settings,
                                     const formats::BytePairEncoding& tokenizer,
                                     const models::DecoderConfig& config) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, formats::ReadText(settings.data));
  const std::vector<int64_t> tokens = tokenizer.EncodeDocument(text);
  const int64_t window = settings.window_tokens == 0
                             ? std::min<int64_t>(config.max_positions, kTextWindowTokensMax)
                             : settings.window_tokens;
  const int64_t stride =
      settings.stride_tokens == 0 ? std::max<int64_t>(1, window / 2) : settings.stride_tokens;
  if (window < 2 || window > config.max_positions || stride < 1 || stride > window) {
    return absl::FailedPreconditionError(absl::StrCat("window of ", window, " tokens, stride ",
                                                      stride, ": wants 2 to ", config.max_positions,
                                                      " and a stride of 1 to a window"));
  }
  if (tokens.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(settings.data, ": wants at least two tokens of text; give a longer file"));
  }
  TextExamples cut;
  cut.pool = WindowExamples(tokens, window, stride, settings.examples.limit_examples);
  cut.figures = {.window_tokens = window, .stride_tokens = stride};
  cut.bytes = static_cast<double>(text.size());
  cut.tokens = static_cast<double>(tokens.size());
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\n\r\f\v"), absl::SkipEmpty());
  cut.words = static_cast<double>(words.size());
  return cut;
}

// The model to compare with, in the form of its files.
absl::StatusOr<LoadedModel> LoadReference(const EvaluateSettings& settings,
                                          const models::DecoderConfig& config, ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(
      LoadedModel reference,
      LoadForInference({.directory = settings.reference_directory, .device = settings.model.device},
                       sink));
  const models::DecoderConfig& other = reference.files.config;
  if (other.vocabulary != config.vocabulary || other.max_positions < config.max_positions) {
    return absl::FailedPreconditionError(
        absl::StrCat("reference_model: a vocabulary of ", other.vocabulary, " and a context of ",
                     other.max_positions, " tokens do not fit the model's ", config.vocabulary,
                     " and ", config.max_positions, "; name the model that it was made from"));
  }
  return reference;
}

// Keeps the model in memory, and the reference if there is one.
absl::StatusOr<LossFigures> LossOf(const EvaluateSettings& settings, const LoadedModel& model,
                                   const formats::ExamplePool& examples, ProgressSink& sink) {
  std::optional<LoadedModel> reference;
  if (!settings.reference_directory.empty()) {
    WATTLE_ASSIGN_OR_RETURN(reference, LoadReference(settings, model.files.config, sink));
  }
  absl::StatusOr<LossFigures> figures =
      LossOverExamples(model.decoder, examples, settings.batch_size, sink,
                       reference.has_value() ? &reference->decoder : nullptr);
  return figures.ok() ? std::move(figures) : WithContext(settings.data, figures.status());
}

absl::StatusOr<EvaluateResult> EvaluateLoaded(const EvaluateSettings& settings,
                                              ProgressSink& sink) {
  sink.OnPhase(Phase::kLoad, 0, 0);
  const std::string& directory = settings.model.directory;
  WATTLE_ASSIGN_OR_RETURN(const models::ModelDirectory files,
                          models::InspectModelDirectory(directory));
  WATTLE_ASSIGN_OR_RETURN(const auto tokenizer,
                          formats::BytePairEncoding::LoadDirectory(directory));
  WATTLE_ASSIGN_OR_RETURN(const formats::DataSetKind kind, formats::DataSetKindOf(settings.data));
  if (settings.score_answers && kind != formats::DataSetKind::kSquad) {
    return absl::FailedPreconditionError(
        absl::StrCat(settings.data, ": score_answers wants a SQuAD file (.json)"));
  }
  // Data are read first: the memory for reading is freed before the weights need room.
  std::optional<TextExamples> cut;
  formats::PackedExamples packed;
  if (kind == formats::DataSetKind::kText) {
    WATTLE_ASSIGN_OR_RETURN(cut, CutText(settings, tokenizer, files.config));
  } else {
    WATTLE_ASSIGN_OR_RETURN(
        packed, LoadExamples(settings.data, directory, tokenizer, files.config, settings.examples));
  }
  GiveFreedBlocksBack();
  WATTLE_ASSIGN_OR_RETURN(const LoadedModel model, LoadForInference(settings.model, sink));
  EvaluateResult result;
  result.model = FiguresOf(model);
  if (cut.has_value()) {
    result.bytes_per_token = cut->bytes / cut->tokens;
    WATTLE_ASSIGN_OR_RETURN(result.figures, LossOf(settings, model, cut->pool, sink));
    if (settings.examples.limit_examples == 0) {
      const double sum = result.figures.loss * static_cast<double>(result.figures.predicted_tokens);
      result.text = cut->figures;
      result.text->bits_per_byte = sum / std::log(2.0) / cut->bytes;
      result.text->word_perplexity = std::exp(sum / cut->words);
    }
    return result;
  }
  result.truncated_examples = packed.truncated;
  WATTLE_ASSIGN_OR_RETURN(result.figures, LossOf(settings, model, packed.pool, sink));
  if (settings.score_answers) {
    WATTLE_ASSIGN_OR_RETURN(result.answers,
                            ScoreAnswers({.data = settings.data,
                                          .limit_questions = settings.examples.limit_examples,
                                          .sequence_length = settings.examples.sequence_length,
                                          .max_answer_tokens = settings.max_answer_tokens},
                                         model.decoder, tokenizer, sink));
  }
  return result;
}

}  // namespace

absl::StatusOr<EvaluateResult> Evaluate(const EvaluateSettings& settings, ProgressSink& sink) {
  return AtTorchBorder("evaluate", [&] { return EvaluateLoaded(settings, sink); });
}

absl::StatusOr<LossFigures> LossOverExamples(const Decoder& decoder,
                                             const formats::ExamplePool& examples,
                                             int64_t batch_size, ProgressSink& sink,
                                             const Decoder* reference) {
  const auto order = ByLength(examples);
  const auto count = static_cast<int64_t>(order.size());
  const int64_t steps = (count + batch_size - 1) / batch_size;
  int64_t tokens_left = PaddedTokens(examples, order, batch_size);
  sink.OnPhase(Phase::kEvaluate, 0, steps);
  PassArena arena(RoomForPasses(
      decoder.config,
      {.kind = reference == nullptr ? models::PassKind::kEvaluate : models::PassKind::kCompare,
       .batch = batch_size,
       .tokens = count == 0 ? 1 : static_cast<int64_t>(examples.TokenCount(order.front()))}));
  OperationsOn(decoder.device).MakeRoom(arena.capacity_bytes(), decoder.device);
  const PassArena::Scope scope(arena);
  LossFigures figures;
  ComparisonSums sums;  // without a reference, only the loss
  for (int64_t step = 1; step <= steps; ++step) {
    const Monotonic start = Clock::Real().Boottime();
    const int64_t first = (step - 1) * batch_size;
    const auto rows = static_cast<size_t>(std::min(batch_size, count - first));
    const TokenBatch batch = MakeTokenBatch(
        examples, absl::MakeConstSpan(order).subspan(static_cast<size_t>(first), rows));
    const ComparisonSums of_batch = reference == nullptr
                                        ? ComparisonSums{.loss = LossSum(decoder, batch)}
                                        : CompareWith(decoder, *reference, batch);
    if (!std::isfinite(of_batch.loss + of_batch.reference_loss + of_batch.divergence)) {
      return absl::AbortedError(
          absl::StrCat("the loss of evaluation step ", step, " of ", steps,
                       " is not finite: the model's weights overflow; train that model again with "
                       "a lower learning_rate or a warm-up"));
    }
    const auto predicted = static_cast<int64_t>(batch.targets.size());
    sums += of_batch;
    figures.predicted_tokens += predicted;
    figures.work.steps = step;
    figures.work.examples += batch.examples;
    figures.work.tokens += batch.rows();
    figures.work.real_tokens += batch.real_tokens;
    StepReport report{.phase = Phase::kEvaluate, .step = step, .steps_total = steps};
    report.loss = predicted == 0 ? 0.0 : of_batch.loss / static_cast<double>(predicted);
    report.tokens = batch.rows();
    report.real_tokens = batch.real_tokens;
    tokens_left -= report.tokens;
    report.tokens_left = tokens_left;
    report.examples = batch.examples;
    for (const SequenceGroup& group : batch.groups) {
      report.flops += ForwardFlops(decoder.config, group.sequences, group.tokens);
      if (reference != nullptr) {
        report.flops += ForwardFlops(reference->config, group.sequences, group.tokens);
      }
    }
    report.compute_time = Clock::Real().Boottime() - start;
    if (sink.OnStep(report) != StepDecision::kGoOn) {
      return absl::CancelledError("stopped while evaluating");
    }
  }
  if (figures.predicted_tokens == 0) {
    return absl::InvalidArgumentError("no token of the data counts; give longer examples");
  }
  const auto predicted = static_cast<double>(figures.predicted_tokens);
  figures.loss = sums.loss / predicted;
  figures.perplexity = std::exp(figures.loss);
  if (reference != nullptr) {
    figures.reference = {.loss = sums.reference_loss / predicted,
                         .kl_divergence = sums.divergence / predicted,
                         .top1_agreement = static_cast<double>(sums.same_top) / predicted};
  }
  return figures;
}

}  // namespace wattle::engine
