// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Quantization with calibration: the model reads some text layer by layer, and each matrix is
// rounded with error compensation (kernels/gptq.h) for the inputs that it met there. Before that,
// the inputs that come out of a norm are evened out with the weights that read them, which changes
// no product and takes outlier channels away. The next layer reads what the rounded layer makes of
// the text, so that it compensates for the errors before it as well.
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
// LoadExamples; kInvalidArgument where there are fewer tokens than `config.width`, too few to say
// how the inputs of a matrix hang together.
absl::StatusOr<CalibrationText> ReadCalibrationText(const std::string& path,
                                                    const formats::BytePairEncoding& tokenizer,
                                                    const models::DecoderConfig& config,
                                                    int64_t tokens);

// What the model makes of some text before it is quantized. It is computed layer by layer beside
// the calibration, so that the whole model never stands in memory in FP32.
struct ParentPass {
  CalibrationText text;             // to read; given by the caller
  std::vector<at::Tensor> outputs;  // of each sequence: what the head reads, float [tokens, width]
  at::Tensor head;                  // float [vocabulary, width]
};

// Rounds every matrix that `model`, loaded with defer_quantized, lacks. on_quantized: as
// LoadOptions has it. parent: null, or a pass to fill. Errors: those of reading the weights;
// kFailedPrecondition where the statistics cannot be factored; kCancelled.
absl::Status QuantizeCalibrated(const CalibrationText& text,
                                const std::function<bool(int64_t weights)>& on_quantized,
                                LoadedModel& model, ParentPass* parent = nullptr);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_CALIBRATE_H_
