// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The quantize job: an FP32 model in, an int8 directory out. No libtorch in this header. Read next:
// int8_model.h.
#ifndef WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_
#define WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "worker/engine/model_job.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

struct QuantizeSettings {
  ModelJob model;
  std::string output_directory;
};

struct QuantizeResult {
  ModelFigures model;  // of the result
  int64_t quantized_parameters = 0;
  WorkTotals work;
};

// Whole job. Reports a step for each layer. Errors: kFailedPrecondition for a model that is int8
// already; those of LoadModel; kCancelled where the sink says so.
absl::StatusOr<QuantizeResult> Quantize(const QuantizeSettings& settings, ProgressSink& sink);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_QUANT_QUANTIZE_H_
