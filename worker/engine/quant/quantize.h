// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The quantize job: an unquantized model and a recipe in, a quantized directory out (its form is
// described in models/model_directory.h; it reloads bit for bit). A tied embedding is the head's
// matrix, so its rows have the head's format and are dequantized as they are looked up. No libtorch
// in this header. Read next: recipe_formats.h.
#ifndef WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_
#define WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "wattle/v1/quantization.pb.h"
#include "worker/engine/model_job.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

// Limits for the search of bits per matrix (adaptive.h). At most one may be set; if both are 0, the
// budget is kAdaptiveBytesOverInt4 times int4's bytes.
struct AdaptiveLimits {
  int64_t stored_bytes = 0;                // maximum for the multiplied matrices, including scales
  double perplexity_change_percent = 0.0;  // maximum, on a part of the calibration text
};

inline constexpr double kAdaptiveBytesOverInt4 = 1.3;

struct QuantizeSettings {
  ModelJob model;  // including the recipe, unless `adaptive` is to find one
  std::string output_directory;
  std::string calibration_data = {};  // empty: each weight is rounded to the nearest code
  int64_t calibration_tokens = 0;     // see ReadCalibrationText
  std::optional<AdaptiveLimits> adaptive = std::nullopt;  // needs calibration_data
};

// One matrix or table of the result.
struct StoredMatrix {
  std::string tensor;
  std::string format;        // "fp32", "int8", "int4-g64"
  int64_t stored_bytes = 0;  // including scales
  // Adaptive: by how much int8 lowers the mean KL divergence in nats compared with int4, with all
  // other matrices in int4.
  std::optional<double> importance = std::nullopt;
};

// Compared with the unquantized model, on the eighth of the calibration text that was not used for
// rounding.
struct MeasuredQuality {
  double kl_divergence = 0.0;  // mean, in nats
  double perplexity_change_percent = 0.0;
  double top1_agreement = 0.0;  // fraction of the predicted tokens
  int64_t predicted_tokens = 0;
};

struct QuantizeResult {
  ModelFigures model;  // of the result
  int64_t quantized_parameters = 0;
  int64_t calibration_tokens = 0;          // read
  std::vector<StoredMatrix> matrices;      // every matrix and table, in the order of the files
  int64_t stored_bytes = 0;                // sum over `tensors`
  int64_t weights = 0;                     // number of weights in them
  std::optional<MeasuredQuality> quality;  // with calibration, unless its text is too short
  WorkTotals work;
};

// Whole job; reads and quantizes one matrix after the other and reports a step for each. With
// calibration data it rounds with error compensation (quant/calibrate.h), on the CPU. Errors:
// kFailedPrecondition for a model that is already quantized, a recipe that quantizes nothing or has
// a format unknown to the engine; those of LoadModel and ReadCalibrationText; kCancelled if the
// sink cancels.
absl::StatusOr<QuantizeResult> Quantize(const QuantizeSettings& settings, ProgressSink& sink);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_
