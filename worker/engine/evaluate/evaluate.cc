// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/evaluate/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "formats/data_set.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/flops.h"
#include "worker/engine/models/token_batch.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

constexpr int64_t kWindowTokensMax = 1024;

// Numbers of the examples, longest first: what needs most memory is met at once, and neighbours are
// of similar length.
std::vector<size_t> ByLength(const formats::ExamplePool& examples) {
  std::vector<size_t> order(examples.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return examples.TokenCount(a) > examples.TokenCount(b);
  });
  return order;
}

absl::StatusOr<formats::ExamplePool> TextExamples(const EvaluateSettings& settings,
                                                  const formats::BytePairEncoding& tokenizer,
                                                  const models::DecoderConfig& config,
                                                  double& bytes_per_token) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, formats::ReadText(settings.data));
  const std::vector<int64_t> tokens = tokenizer.EncodeDocument(text);
  const int64_t window = settings.window_tokens == 0
                             ? std::min(config.max_positions, kWindowTokensMax)
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
  bytes_per_token = static_cast<double>(text.size()) / static_cast<double>(tokens.size());
  return WindowExamples(tokens, window, stride, settings.examples.limit_examples);
}

absl::StatusOr<EvaluateResult> EvaluateLoaded(const EvaluateSettings& settings,
                                              ProgressSink& sink) {
  sink.OnPhase(Phase::kLoad, 0, 0);
  WATTLE_ASSIGN_OR_RETURN(const LoadedModel model, LoadForInference(settings.model, sink));
  WATTLE_ASSIGN_OR_RETURN(const auto tokenizer,
                          formats::BytePairEncoding::LoadDirectory(settings.model.directory));
  WATTLE_ASSIGN_OR_RETURN(const formats::DataSetKind kind, formats::DataSetKindOf(settings.data));
  EvaluateResult result;
  result.model = FiguresOf(model);
  formats::ExamplePool examples;
  if (kind == formats::DataSetKind::kText) {
    WATTLE_ASSIGN_OR_RETURN(
        examples, TextExamples(settings, tokenizer, model.files.config, result.bytes_per_token));
  } else {
    WATTLE_ASSIGN_OR_RETURN(
        auto packed, LoadExamples(settings.data, tokenizer, model.files.config, settings.examples));
    result.truncated_examples = packed.truncated;
    examples = std::move(packed.pool);
  }
  WATTLE_ASSIGN_OR_RETURN(result.figures,
                          LossOverExamples(model.decoder, examples, settings.batch_size, sink));
  return result;
}

}  // namespace

absl::StatusOr<EvaluateResult> Evaluate(const EvaluateSettings& settings, ProgressSink& sink) {
  return AtTorchBorder("evaluate", [&] { return EvaluateLoaded(settings, sink); });
}

absl::StatusOr<LossFigures> LossOverExamples(const Decoder& decoder,
                                             const formats::ExamplePool& examples,
                                             int64_t batch_size, ProgressSink& sink) {
  const auto order = ByLength(examples);
  const auto count = static_cast<int64_t>(order.size());
  const int64_t steps = (count + batch_size - 1) / batch_size;
  int64_t tokens_left = 0;
  for (int64_t first = 0; first < count; first += batch_size) {
    const auto longest =
        static_cast<int64_t>(examples.TokenCount(order[static_cast<size_t>(first)]));
    tokens_left += std::min(batch_size, count - first) * longest;
  }
  sink.OnPhase(Phase::kEvaluate, 0, steps);
  LossFigures figures;
  double sum = 0.0;
  for (int64_t step = 1; step <= steps; ++step) {
    const Monotonic start = Clock::Real().Boottime();
    const int64_t first = (step - 1) * batch_size;
    const auto rows = static_cast<size_t>(std::min(batch_size, count - first));
    const TokenBatch batch = MakeTokenBatch(
        examples, absl::MakeConstSpan(order).subspan(static_cast<size_t>(first), rows));
    const double loss_sum = LossSum(decoder, batch);
    const auto predicted = static_cast<int64_t>(batch.targets.size());
    sum += loss_sum;
    figures.predicted_tokens += predicted;
    figures.work.steps = step;
    figures.work.examples += batch.batch;
    figures.work.tokens += batch.batch * batch.length;
    figures.work.real_tokens += batch.real_tokens;
    StepReport report{.phase = Phase::kEvaluate, .step = step, .steps_total = steps};
    report.loss = predicted == 0 ? 0.0 : loss_sum / static_cast<double>(predicted);
    report.tokens = batch.batch * batch.length;
    report.real_tokens = batch.real_tokens;
    tokens_left -= report.tokens;
    report.tokens_left = tokens_left;
    report.examples = batch.batch;
    report.flops = ForwardFlops(decoder.config, batch.batch, batch.length);
    report.compute_time = Clock::Real().Boottime() - start;
    if (sink.OnStep(report) != StepDecision::kGoOn) {
      return absl::CancelledError("stopped while evaluating");
    }
  }
  if (figures.predicted_tokens == 0) {
    return absl::InvalidArgumentError("no token of the data counts; give longer examples");
  }
  figures.loss = sum / static_cast<double>(figures.predicted_tokens);
  figures.perplexity = std::exp(figures.loss);
  return figures;
}

}  // namespace wattle::engine
