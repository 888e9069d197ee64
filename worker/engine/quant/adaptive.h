// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The adaptive recipe: 4, 8 or 32 bits for each matrix, by measured importance. The model is
// quantized with calibration in each form: every matrix in int4 with groups of 128, 64 and 32 (as
// far as they divide the rows), and in int8. Then each matrix of the int8 model is replaced by its
// other forms, one after the other. The loss of a form is its increase of the mean KL divergence
// from the unquantized model: the calibration loss with the parent's own distribution as the
// target, which needs far fewer tokens than the loss of the text itself. A matrix's importance is
// how much int8 lowers the loss of its first form. The forms with the least sum of losses within
// the byte budget are chosen (a knapsack), or those of the smallest budget with which the whole
// model meets the quality floor. FP32 is tried only if int8 everywhere misses the floor.
//
// Measuring and calibrating use different text. The quantized models, the token embedding and one
// layer in FP32 are in memory; the whole model in FP32 only if FP32 is tried. May throw libtorch's
// exceptions. One thread. Read next: calibrate.h.
#ifndef WATTLE_WORKER_ENGINE_QUANT_ADAPTIVE_H_
#define WATTLE_WORKER_ENGINE_QUANT_ADAPTIVE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "wattle/v1/quantization.pb.h"
#include "worker/engine/quant/calibrate.h"
#include "worker/engine/quant/quantize.h"

namespace wattle::engine {

struct AdaptiveChoice {
  v1::QuantizationRecipe recipe;
  std::vector<StoredMatrix> matrices;  // multiplied matrices, in the order of the files
  int64_t stored_bytes = 0;            // of these matrices
  int64_t int4_bytes = 0;   // of the same matrices, all in int4 with groups of 64, else of 32
  double divergence = 0.0;  // mean KL divergence from the parent in nats, on the measuring text
  double perplexity_change_percent = 0.0;  // on the same text
};

// How often a search without FP32 calls on_step.
[[nodiscard]] int64_t StepsOfSearch(const models::DecoderConfig& config);

// directory: an unquantized model. Every eighth sequence of `text` is for measuring, the others for
// calibrating. on_step: called after each quantized or measured matrix; false stops (kCancelled).
// Errors: kInvalidArgument for fewer than eight sequences; kFailedPrecondition for a budget below
// the first form's bytes, and for a floor that not even FP32 meets; those of LoadModel and
// QuantizeCalibrated.
absl::StatusOr<AdaptiveChoice> ChooseAdaptively(const std::string& directory,
                                                const CalibrationText& text,
                                                const AdaptiveLimits& limits,
                                                const std::function<bool()>& on_step);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_ADAPTIVE_H_
