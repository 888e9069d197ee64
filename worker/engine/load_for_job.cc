// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/load_for_job.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "base/status_macros.h"
#include "proto/quantization_recipe.h"

namespace wattle::engine {
namespace {

void TellIgnored(const LoadedModel& model, ProgressSink& sink) {
  if (!model.files.ignored_tensors.empty()) {
    sink.OnLog(absl::StrCat("not read, for they are no weights: ",
                            absl::StrJoin(model.files.ignored_tensors, ", ")));
  }
}

// The model in the form of job.recipe, with the other options.
absl::StatusOr<LoadedModel> LoadInForm(const ModelJob& job, LoadOptions options,
                                       ProgressSink& sink) {
  if (job.recipe.has_value()) {
    WATTLE_ASSIGN_OR_RETURN(const models::ModelDirectory files,
                            models::InspectModelDirectory(job.directory));
    if (RecipeIdentity(files.recipe) != RecipeIdentity(*job.recipe)) {
      options.recipe = &*job.recipe;
    }
  }
  WATTLE_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(job.directory, options));
  TellIgnored(model, sink);
  return model;
}

}  // namespace

absl::StatusOr<LoadedModel> LoadForInference(const ModelJob& job, ProgressSink& sink) {
  return LoadInForm(job, {.device = job.device, .in_stored_form = !job.recipe.has_value()}, sink);
}

absl::StatusOr<LoadedModel> LoadFrozen(const ModelJob& job, bool bf16_matrices,
                                       ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(
      LoadedModel model,
      LoadInForm(job,
                 {.device = job.device, .double_quantize = true, .bf16_matrices = bf16_matrices},
                 sink));
  for (Parameter& parameter : model.parameters) {
    parameter.trainable = false;
  }
  model.decoder.int8_keys_and_values = false;
  DecoderWeights& weights = model.decoder.weights;
  for (BlockWeights& block : weights.blocks) {
    for (LinearWeights* linear : {&block.qkv, &block.attention_output, &block.up, &block.down}) {
      linear->matrix.dequantized_products = true;
    }
  }
  weights.head.dequantized_products = true;
  return model;
}

absl::StatusOr<LoadedModel> LoadForTraining(const ModelJob& job, bool bf16_matrices,
                                            ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(
      LoadedModel model,
      LoadModel(job.directory, {.device = job.device, .bf16_matrices = bf16_matrices}));
  if (model.is_quantized()) {
    return absl::FailedPreconditionError(
        absl::StrCat(job.directory, ": a model that is ", RecipeIdentity(model.recipe),
                     " is not trained; use its unquantized parent"));
  }
  model.decoder.int8_keys_and_values = false;
  TellIgnored(model, sink);
  return model;
}

ModelFigures FiguresOf(const LoadedModel& model) {
  return {.config = model.files.config,
          .parameter_count = model.files.config.parameter_count(),
          .recipe = model.recipe};
}

}  // namespace wattle::engine
