// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The adaptive recipe: 4, 8 or 32 bits for each matrix, by measured importance. The model is
// quantized with calibration in each form: every matrix in int4 with groups of 128, 64 and 32 (as
// far as they divide the rows), and in int8. Then each matrix of the int8 model is replaced by its
// other forms, one after the other. What a form adds to the mean KL divergence from the unquantized
// model is its loss: the calibration loss with the parent's own distribution as the target, which
// needs far fewer tokens than the loss of the text itself. A matrix's importance is what int8 takes
// off the loss of its first form. The forms with the least sum of losses within the byte budget are
// chosen (a knapsack), or those of the least budget with which the whole model meets the quality
// floor. FP32 is tried only where int8 everywhere misses the floor.
//
// The text that measures is not the text that calibrates. In memory stand the quantized models, the
// token embedding and one layer in FP32; the whole model in FP32 only where FP32 is tried. May
// throw libtorch's exceptions. One thread. Read next: calibrate.h.
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
  std::vector<StoredMatrix> matrices;  // multiplied ones, in the order of the files
  int64_t stored_bytes = 0;            // theirs
  int64_t int4_bytes = 0;   // of the same matrices, all in int4 with groups of 64, else of 32
  double divergence = 0.0;  // mean KL divergence from the parent in nats, on the text that measures
  double perplexity_change_percent = 0.0;  // on the same
};

// How often a search that needs no FP32 calls on_step.
[[nodiscard]] int64_t StepsOfSearch(const models::DecoderConfig& config);

// directory: an unquantized model. Every eighth sequence of `text` measures, the others calibrate.
// on_step: called after each matrix that was quantized or measured; false stops (kCancelled).
// Errors: kInvalidArgument for less than eight sequences; kFailedPrecondition for a budget below
// the first form's bytes, and for a floor that not even FP32 meets; those of LoadModel and
// QuantizeCalibrated.
absl::StatusOr<AdaptiveChoice> ChooseAdaptively(const std::string& directory,
                                                const CalibrationText& text,
                                                const AdaptiveLimits& limits,
                                                const std::function<bool()>& on_step);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_ADAPTIVE_H_
