// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/quant/quantize.h"

#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/quant/adaptive.h"
#include "worker/engine/quant/calibrate.h"
#include "worker/engine/quant/parent_fit.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

void Describe(const LoadedModel& model, const std::map<std::string, double>& importance,
              QuantizeResult& result) {
  for (const Parameter& parameter : model.parameters) {
    const models::ModelTensor& tensor = parameter.tensor;
    if (!tensor.is_matrix()) {
      continue;
    }
    const kernels::WeightMatrix shape{
        .format = parameter.format, .rows = tensor.shape[0], .columns = tensor.shape[1]};
    StoredMatrix matrix{
        .tensor = tensor.name,
        .format = kernels::FormatName(parameter.format),
        .stored_bytes = kernels::OperationsOf(parameter.format.scheme).stored_bytes(shape).total()};
    const auto found = importance.find(tensor.name);
    if (found != importance.end()) {
      matrix.importance = found->second;
    }
    result.stored_bytes += matrix.stored_bytes;
    result.weights += tensor.element_count();
    result.matrices.push_back(std::move(matrix));
  }
}

absl::Status CheckSettings(const QuantizeSettings& settings, const models::ModelDirectory& source) {
  if (source.is_quantized()) {
    return absl::FailedPreconditionError(absl::StrCat(settings.model.directory, ": this model is ",
                                                      source.quantization(),
                                                      " already; quantize its unquantized parent"));
  }
  if (!settings.model.recipe.has_value() && !settings.adaptive.has_value()) {
    return absl::FailedPreconditionError("quantize: wants a recipe");
  }
  if (settings.adaptive.has_value() && settings.calibration_data.empty()) {
    return absl::FailedPreconditionError("quantize: adaptive wants calibration data");
  }
  return absl::OkStatus();
}

// Quantizes the model with one part of the text, and compares it with its parent on the other part,
// if the text is long enough for both.
absl::StatusOr<std::optional<MeasuredQuality>> CalibrateAndMeasure(
    const CalibrationText& text, const std::function<bool(int64_t weights)>& on_quantized,
    LoadedModel& model) {
  SplitText split = SplitCalibrationText(text);
  ParentPass parent;
  parent.text = std::move(split.measuring);
  const bool measures = !parent.text.empty();
  WATTLE_RETURN_IF_ERROR(
      QuantizeCalibrated(split.calibrating, on_quantized, model, measures ? &parent : nullptr));
  std::optional<MeasuredQuality> quality;
  if (measures) {
    const ParentFit fit = FitToParent(model.decoder, parent);
    quality = MeasuredQuality{.kl_divergence = fit.divergence,
                              .perplexity_change_percent = fit.perplexity_change_percent(),
                              .top1_agreement = fit.top1_agreement,
                              .predicted_tokens = fit.predicted_tokens};
  }
  return quality;
}

std::string Told(const AdaptiveChoice& choice) {
  return absl::StrFormat(
      "adaptive: %d bytes, %.3f times those of int4; perplexity %+.3f %% and divergence %.5f "
      "nats on the calibration text's measuring part",
      choice.stored_bytes,
      static_cast<double>(choice.stored_bytes) / static_cast<double>(choice.int4_bytes),
      choice.perplexity_change_percent, choice.divergence);
}

absl::StatusOr<QuantizeResult> QuantizeModel(const QuantizeSettings& settings, ProgressSink& sink) {
  sink.OnPhase(Phase::kLoad, 0, 0);
  WATTLE_ASSIGN_OR_RETURN(const models::ModelDirectory source,
                          models::InspectModelDirectory(settings.model.directory));
  const bool calibrated = !settings.calibration_data.empty();
  WATTLE_RETURN_IF_ERROR(CheckSettings(settings, source));
  QuantizeResult result;
  CalibrationText text;
  if (calibrated) {
    WATTLE_ASSIGN_OR_RETURN(const auto tokenizer,
                            formats::BytePairEncoding::LoadDirectory(settings.model.directory));
    WATTLE_ASSIGN_OR_RETURN(text, ReadCalibrationText(settings.calibration_data, tokenizer,
                                                      source.config, settings.calibration_tokens));
    for (const std::vector<int64_t>& sequence : text) {
      result.calibration_tokens += static_cast<int64_t>(sequence.size());
    }
  }
  const int64_t matrices = QuantizableWeightsOf(source.config).matrices;
  result.work.steps = matrices + (settings.adaptive.has_value() ? StepsOfSearch(source.config) : 0);
  sink.OnPhase(Phase::kQuantize, 0, result.work.steps);
  StepReport report{.phase = Phase::kQuantize, .steps_total = result.work.steps};
  Monotonic start = Clock::Real().Boottime();
  const auto on_quantized = [&](int64_t weights) {
    ++report.step;
    result.quantized_parameters += weights;
    // Operations per weight: a division and a rounding; calibration adds two passes over the text.
    report.flops = static_cast<double>(weights * (2 + 4 * result.calibration_tokens));
    const Monotonic now = Clock::Real().Boottime();
    report.compute_time = now - start;
    start = now;
    return sink.OnStep(report) == StepDecision::kGoOn;
  };
  v1::QuantizationRecipe recipe = settings.model.recipe.value_or(v1::QuantizationRecipe());
  std::map<std::string, double> importance;
  if (settings.adaptive.has_value()) {
    const int64_t weights = source.config.parameter_count() / matrices;
    // Its steps do not count in the result's figures.
    const auto on_step = [&] {
      const bool go_on = on_quantized(weights);
      result.quantized_parameters = 0;
      return go_on;
    };
    WATTLE_ASSIGN_OR_RETURN(
        const AdaptiveChoice choice,
        ChooseAdaptively(settings.model.directory, text, *settings.adaptive, on_step));
    recipe = choice.recipe;
    for (const StoredMatrix& matrix : choice.matrices) {
      importance[matrix.tensor] = *matrix.importance;
    }
    sink.OnLog(Told(choice));
  }
  WATTLE_ASSIGN_OR_RETURN(
      LoadedModel model,
      LoadModel(settings.model.directory, {.device = calibrated ? "cpu" : settings.model.device,
                                           .recipe = &recipe,
                                           .defer_quantized = calibrated,
                                           .on_quantized = on_quantized}));
  if (!model.is_quantized()) {
    return absl::FailedPreconditionError(
        "quantization: none leaves nothing to do; write int8 or another recipe");
  }
  if (calibrated) {
    WATTLE_ASSIGN_OR_RETURN(result.quality, CalibrateAndMeasure(text, on_quantized, model));
  }
  sink.OnPhase(Phase::kSave, 0, 0);
  WATTLE_RETURN_IF_ERROR(SaveModel(settings.output_directory, model));
  result.model = FiguresOf(model);
  Describe(model, importance, result);
  return result;
}

}  // namespace

absl::StatusOr<QuantizeResult> Quantize(const QuantizeSettings& settings, ProgressSink& sink) {
  return AtTorchBorder("quantize", [&] { return QuantizeModel(settings, sink); });
}

}  // namespace wattle::engine
