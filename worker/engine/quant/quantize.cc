// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/quant/quantize.h"

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "worker/engine/quant/int8_model.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

absl::StatusOr<QuantizeResult> QuantizeLoaded(const QuantizeSettings& settings,
                                              ProgressSink& sink) {
  sink.OnPhase(Phase::kLoad, 0, 0);
  WATTLE_ASSIGN_OR_RETURN(LoadedModel model,
                          LoadModel(settings.model.directory, settings.model.device));
  if (model.is_int8()) {
    return absl::FailedPreconditionError(absl::StrCat(
        settings.model.directory, ": this model is int8 already; quantize its FP32 parent"));
  }
  QuantizeResult result;
  result.work.steps = 4 * model.files.config.layers + 1;
  result.quantized_parameters = QuantizableParameters(model.files.config);
  sink.OnPhase(Phase::kQuantize, 0, result.work.steps);
  WATTLE_RETURN_IF_ERROR(QuantizeInPlace(model, &sink));
  sink.OnPhase(Phase::kSave, 0, 0);
  WATTLE_RETURN_IF_ERROR(SaveInt8Model(settings.output_directory, model));
  result.model = FiguresOf(model);
  return result;
}

}  // namespace

absl::StatusOr<QuantizeResult> Quantize(const QuantizeSettings& settings, ProgressSink& sink) {
  return AtTorchBorder("quantize", [&] { return QuantizeLoaded(settings, sink); });
}

}  // namespace wattle::engine
