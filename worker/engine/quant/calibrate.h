// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Quantization with calibration: the model reads some text layer by layer, and each matrix is
// rounded with error compensation (kernels/gptq.h) for the inputs that it received. Before that,
// inputs that are outputs of a norm are evened out with the weights that read them, which changes
// no product and removes outlier channels. The next layer reads the output of the rounded layer, so
// that it also compensates for preceding errors.
//
// Only one layer is in memory in FP32 at a time: a model needs its quantized bytes, its token
// embedding, one layer and that layer's statistics, and the stream of the calibration tokens. May
// throw libtorch's exceptions. One thread.
#ifndef WATTLE_WORKER_ENGINE_QUANT_CALIBRATE_H_
#define WATTLE_WORKER_ENGINE_QUANT_CALIBRATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <ATen/core/Tensor.h>

#include "formats/byte_pair_encoding.h"
#include "worker/engine/models/model_files.h"

namespace wattle::engine {

// Sequences of tokens that calibration reads.
using CalibrationText = std::vector<std::vector<int64_t>>;

// The first `tokens` tokens of a text or SQuAD file, in sequences of at most
// models::kCalibrationWindowTokens. tokens: 0 means models::kCalibrationTokens. Errors: those of
// LoadExamples; kInvalidArgument for fewer tokens than `config.width`, too few to estimate the
// correlations of a matrix's inputs.
absl::StatusOr<CalibrationText> ReadCalibrationText(const std::string& path,
                                                    const formats::BytePairEncoding& tokenizer,
                                                    const models::DecoderConfig& config,
                                                    int64_t tokens);

// The unquantized model's results for some text, computed layer by layer during calibration, so
// that the whole model is never in memory in FP32.
struct ParentPass {
  CalibrationText text;             // input text; set by the caller
  std::vector<at::Tensor> outputs;  // per sequence: input of the head, float [tokens, width]
  at::Tensor head;                  // float [vocabulary, width]
};

// Rounds every matrix missing from `model`, which must be loaded with defer_quantized.
// on_quantized: see LoadOptions. parent: null, or a pass to fill. Errors: those of reading the
// weights; kFailedPrecondition if the statistics cannot be factored; kCancelled.
absl::Status QuantizeCalibrated(const CalibrationText& text,
                                const std::function<bool(int64_t weights)>& on_quantized,
                                LoadedModel& model, ParentPass* parent = nullptr);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_CALIBRATE_H_
