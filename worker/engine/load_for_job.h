// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Loads a model as a job asks for it.
#ifndef WATTLE_WORKER_ENGINE_LOAD_FOR_JOB_H_
#define WATTLE_WORKER_ENGINE_LOAD_FOR_JOB_H_

#include "absl/status/statusor.h"

#include "worker/engine/model_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

// The model in the form of job.recipe; a model whose files have that recipe already is taken as it
// is. Without a recipe: as the files have it, also codes and 16 bits. Tells the sink which tensors
// of the file are not read. Errors: those of LoadModel.
absl::StatusOr<LoadedModel> LoadForInference(const ModelJob& job, ProgressSink& sink);

// The model in FP32, or with LoadOptions::bf16_matrices, to be trained. Keys and values are FP32
// whatever the files' recipe says: it speaks of inference. Errors: those of LoadModel;
// kFailedPrecondition for a quantized model.
absl::StatusOr<LoadedModel> LoadForTraining(const ModelJob& job, bool bf16_matrices,
                                            ProgressSink& sink);

// The model as LoadForInference, with no weight to be trained, for adapters beside it: products
// with quantized matrices are those that training wants (MatrixWeights::dequantized_products), keys
// and values are FP32, and NF4 that job.recipe asks for has quantized scales. bf16_matrices: as in
// LoadOptions.
absl::StatusOr<LoadedModel> LoadFrozen(const ModelJob& job, bool bf16_matrices, ProgressSink& sink);

[[nodiscard]] ModelFigures FiguresOf(const LoadedModel& model);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_LOAD_FOR_JOB_H_
