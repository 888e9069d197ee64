// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The quantize job: an unquantized model and a recipe in, a quantized directory out (its form is
// described in models/model_directory.h; it reloads bit for bit). A tied embedding is the head's
// matrix, so its rows have the head's format and are dequantized as they are looked up. No libtorch
// in this header. Read next: recipe_formats.h.
#ifndef WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_
#define WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "wattle/v1/quantization.pb.h"
#include "worker/engine/model_job.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

struct QuantizeSettings {
  ModelJob model;  // with the recipe to quantize by
  std::string output_directory;
  std::string calibration_data = {};  // empty: each weight is rounded to the nearest code
  int64_t calibration_tokens = 0;     // as ReadCalibrationText has it
};

struct QuantizeResult {
  ModelFigures model;  // of the result
  int64_t quantized_parameters = 0;
  int64_t calibration_tokens = 0;  // that were read
  WorkTotals work;
};

// Whole job; reads and quantizes one matrix after the other and reports a step for each. With
// calibration data it rounds with error compensation (quant/calibrate.h), on the CPU. Errors:
// kFailedPrecondition for a model that is quantized already, a recipe that quantizes nothing or one
// that the engine lacks; those of LoadModel and ReadCalibrationText; kCancelled where the sink says
// so.
absl::StatusOr<QuantizeResult> Quantize(const QuantizeSettings& settings, ProgressSink& sink);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_
