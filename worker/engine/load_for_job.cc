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

}  // namespace

absl::StatusOr<LoadedModel> LoadForInference(const ModelJob& job, ProgressSink& sink) {
  LoadOptions options{.device = job.device};
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

absl::StatusOr<LoadedModel> LoadForTraining(const ModelJob& job, ProgressSink& sink) {
  WATTLE_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(job.directory, {.device = job.device}));
  if (model.is_quantized()) {
    return absl::FailedPreconditionError(
        absl::StrCat(job.directory, ": a model that is ", RecipeIdentity(model.recipe),
                     " is not trained; use its unquantized parent"));
  }
  TellIgnored(model, sink);
  return model;
}

ModelFigures FiguresOf(const LoadedModel& model) {
  return {.config = model.files.config,
          .parameter_count = model.files.config.parameter_count(),
          .recipe = model.recipe};
}

}  // namespace wattle::engine
