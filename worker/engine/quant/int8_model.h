// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Int8 weights with one scale for each output channel, for every linear layer and the head. A tied
// embedding is the head's matrix, so its rows are int8 as well and are dequantized as they are
// looked up; an untied one stays FP32. The stored form is described in formats/model_directory.h;
// it reloads bit for bit. These may throw libtorch's exceptions: call them inside AtTorchBorder.
#ifndef WATTLE_WORKER_ENGINE_QUANT_INT8_MODEL_H_
#define WATTLE_WORKER_ENGINE_QUANT_INT8_MODEL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "worker/engine/model_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

// Loads a model as job.quantization says. Errors: those of LoadModel; kFailedPrecondition for FP32
// wanted of int8 files.
absl::StatusOr<LoadedModel> LoadForInference(const ModelJob& job);

// Replaces the FP32 matrices by int8 and frees the flat buffer. sink: null, or told of each layer.
// Errors: kDataLoss for weights that are not finite; kCancelled where the sink says so.
absl::Status QuantizeInPlace(LoadedModel& model, ProgressSink* sink);

// Writes an int8 model's directory.
absl::Status SaveInt8Model(const std::string& directory, const LoadedModel& model);

// Numbers in the matrices that QuantizeInPlace replaces.
[[nodiscard]] int64_t QuantizableParameters(const formats::DecoderConfig& config);

[[nodiscard]] ModelFigures FiguresOf(const LoadedModel& model);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_INT8_MODEL_H_
