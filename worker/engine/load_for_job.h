// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Loads a model in the form that a job requires.
#ifndef WATTLE_WORKER_ENGINE_LOAD_FOR_JOB_H_
#define WATTLE_WORKER_ENGINE_LOAD_FOR_JOB_H_

#include "absl/status/statusor.h"

#include "worker/engine/model_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

// The model in the form of job.recipe, unchanged if its files already have that recipe. Without a
// recipe: in the form of the files, including codes and 16 bits. Reports to the sink which tensors
// of the file are not read. Errors: those of LoadModel.
absl::StatusOr<LoadedModel> LoadForInference(const ModelJob& job, ProgressSink& sink);

// The model in FP32, or with LoadOptions::bf16_matrices, for training. Keys and values are FP32
// even if the files' recipe has another format, which is for inference. Errors: those of LoadModel;
// kFailedPrecondition for a quantized model.
absl::StatusOr<LoadedModel> LoadForTraining(const ModelJob& job, bool bf16_matrices,
                                            ProgressSink& sink);

// LoadForInference for training adapters beside frozen weights: products with quantized matrices
// are exact (MatrixWeights::dequantized_products), keys and values are FP32, and NF4 in job.recipe
// has quantized scales. bf16_matrices: as in LoadOptions.
absl::StatusOr<LoadedModel> LoadFrozen(const ModelJob& job, bool bf16_matrices, ProgressSink& sink);

[[nodiscard]] ModelFigures FiguresOf(const LoadedModel& model);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_LOAD_FOR_JOB_H_
