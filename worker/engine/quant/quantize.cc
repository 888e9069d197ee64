// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/quant/quantize.h"

#include "absl/strings/str_cat.h"

#include "base/clock.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "worker/engine/load_for_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/quant/calibrate.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

absl::StatusOr<QuantizeResult> QuantizeModel(const QuantizeSettings& settings, ProgressSink& sink) {
  sink.OnPhase(Phase::kLoad, 0, 0);
  WATTLE_ASSIGN_OR_RETURN(const models::ModelDirectory source,
                          models::InspectModelDirectory(settings.model.directory));
  if (source.is_quantized()) {
    return absl::FailedPreconditionError(absl::StrCat(settings.model.directory, ": this model is ",
                                                      source.quantization(),
                                                      " already; quantize its unquantized parent"));
  }
  if (!settings.model.recipe.has_value()) {
    return absl::FailedPreconditionError("quantize: wants a recipe");
  }
  QuantizeResult result;
  result.work.steps = QuantizableWeightsOf(source.config).matrices;
  sink.OnPhase(Phase::kQuantize, 0, result.work.steps);
  StepReport report{.phase = Phase::kQuantize, .steps_total = result.work.steps};
  Monotonic start = Clock::Real().Boottime();
  const auto on_quantized = [&](int64_t weights) {
    ++report.step;
    result.quantized_parameters += weights;
    // A division and a rounding each; with calibration two passes of the text as well.
    report.flops = static_cast<double>(weights * (2 + 4 * result.calibration_tokens));
    const Monotonic now = Clock::Real().Boottime();
    report.compute_time = now - start;
    start = now;
    return sink.OnStep(report) == StepDecision::kGoOn;
  };
  const bool calibrated = !settings.calibration_data.empty();
  WATTLE_ASSIGN_OR_RETURN(
      LoadedModel model,
      LoadModel(settings.model.directory, {.device = calibrated ? "cpu" : settings.model.device,
                                           .recipe = &*settings.model.recipe,
                                           .defer_quantized = calibrated,
                                           .on_quantized = on_quantized}));
  if (!model.is_quantized()) {
    return absl::FailedPreconditionError(
        "quantization: none leaves nothing to do; write int8 or another recipe");
  }
  if (calibrated) {
    WATTLE_ASSIGN_OR_RETURN(const auto tokenizer,
                            formats::BytePairEncoding::LoadDirectory(settings.model.directory));
    WATTLE_ASSIGN_OR_RETURN(const CalibrationText text,
                            ReadCalibrationText(settings.calibration_data, tokenizer, source.config,
                                                settings.calibration_tokens));
    for (const std::vector<int64_t>& sequence : text) {
      result.calibration_tokens += static_cast<int64_t>(sequence.size());
    }
    WATTLE_RETURN_IF_ERROR(QuantizeCalibrated(text, on_quantized, model));
  }
  sink.OnPhase(Phase::kSave, 0, 0);
  WATTLE_RETURN_IF_ERROR(SaveModel(settings.output_directory, model));
  result.model = FiguresOf(model);
  return result;
}

}  // namespace

absl::StatusOr<QuantizeResult> Quantize(const QuantizeSettings& settings, ProgressSink& sink) {
  return AtTorchBorder("quantize", [&] { return QuantizeModel(settings, sink); });
}

}  // namespace wattle::engine
