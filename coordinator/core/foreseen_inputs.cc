// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Follows references through the jobs that will make the artifacts. Pure.
#include "coordinator/core/foreseen_inputs.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/state.h"
#include "proto/job_kind.h"
#include "proto/quantization_recipe.h"

namespace wattle::core {
namespace {

// The model that the job will make from `model`.
v1::ArtifactInfo OutputFrom(const v1::Job& source, v1::ArtifactInfo model) {
  const bool quantizes = KindOf(source.spec()).quantizes_model;
  model.set_parent_artifact_id(quantizes ? model.artifact_id() : "");
  model.clear_quality();
  model.clear_name();
  model.set_artifact_id(absl::StrCat("output of ", source.job_id()));
  model.set_job_id(source.job_id());
  if (quantizes) {
    const v1::QuantizationRecipe* const recipe = RecipeIn(source.spec());
    const auto wanted = WantedQuantization(QuantizationIn(source.spec()), recipe);
    // The recipe that the search will find is unknown; int4 is the nearest fixed recipe.
    model.set_quantization(!wanted.ok() || wanted->empty()    ? kInt8Quantization
                           : *wanted == kAdaptiveQuantization ? "int4-g64"
                                                              : *wanted);
    model.clear_recipe();  // the parent's recipe
    if (recipe != nullptr) {
      *model.mutable_recipe() = *recipe;
    }
  }
  return model;
}

// The artifact of a reference. For an output that no job has made yet, the shape of the model that
// the job starts from.
absl::StatusOr<v1::ArtifactInfo> Foresee(const State& state, const std::vector<v1::Job>& archived,
                                         const InputReference& input, const std::string& project) {
  WATTLE_ASSIGN_OR_RETURN(const ModelChain chain,
                          ChainOf(state, archived, input.reference, Scope::Of({project})));
  v1::ArtifactInfo artifact = state.artifacts.at(chain.stored);
  for (auto source = chain.to_be_made.rbegin(); source != chain.to_be_made.rend(); ++source) {
    artifact = OutputFrom(**source, std::move(artifact));
  }
  return artifact;
}

}  // namespace

absl::StatusOr<std::vector<scheduler::InputView>> ForeseeInputs(
    const State& state, const v1::JobSpec& spec, const std::vector<v1::Job>& archived_sources) {
  std::vector<scheduler::InputView> inputs;
  for (const InputReference& input : InputsOf(spec)) {
    absl::StatusOr<v1::ArtifactInfo> artifact =
        Foresee(state, archived_sources, input, ProjectOf(spec));
    if (!artifact.ok()) {
      return WithContext(FieldName(spec, input), artifact.status());
    }
    WATTLE_RETURN_IF_ERROR(CheckInputKind(spec, input, *artifact));
    inputs.push_back({input.field, *std::move(artifact)});
  }
  return inputs;
}

}  // namespace wattle::core
