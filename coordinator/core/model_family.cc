// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "coordinator/core/core.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/model_family_internal.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/state.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/quantization_recipe.h"
#include "scheduler/place/rules/quality_floor.h"
#include "scheduler/predict/data_memory.h"
#include "scheduler/predict/work.h"

namespace wattle::core {
namespace {

constexpr size_t kIdDigitsShown = 12;

// A reference that a job file can use for the artifact.
std::string ReferenceOf(const State& state, const v1::ArtifactInfo& artifact) {
  const ArtifactId id(artifact.artifact_id());
  if (state.artifacts.contains(id)) {
    const v1::ArtifactInfo described = DescribeArtifact(state, id);
    if (!described.name().empty()) {
      return described.name();
    }
  }
  return artifact.job_id().empty() ? artifact.artifact_id().substr(0, kIdDigitsShown)
                                   : absl::StrCat("job:", artifact.job_id(), "/output");
}

// The metric's value; nullopt if the receipt lacks it.
std::optional<double> MetricOf(const v1::Receipt& receipt, absl::string_view name) {
  for (const v1::Metric& metric : receipt.metrics()) {
    if (metric.name() == name) {
      return metric.value();
    }
  }
  return std::nullopt;
}

// nullopt if the receipt compares no models.
std::optional<v1::ModelQuality> QualityIn(const v1::Receipt& receipt, const v1::Job& job,
                                          absl::string_view data_field) {
  const std::optional<double> change = MetricOf(receipt, "perplexity_change_percent");
  const std::optional<double> divergence = MetricOf(receipt, "kl_divergence");
  if (!change.has_value() || !divergence.has_value()) {
    return std::nullopt;
  }
  v1::ModelQuality quality;
  quality.set_perplexity_change_percent(*change);
  quality.set_kl_divergence(*divergence);
  if (const auto agreement = MetricOf(receipt, "top1_agreement_percent"); agreement.has_value()) {
    quality.set_top1_agreement_percent(*agreement);
  }
  quality.set_predicted_tokens(
      static_cast<int64_t>(MetricOf(receipt, "predicted_tokens").value_or(0)));
  quality.set_job_id(job.job_id());
  if (const v1::ResolvedInput* data = FindInput(job, data_field); data != nullptr) {
    quality.set_data_artifact_id(data->artifact_id());
  }
  return quality;
}

}  // namespace

v1::JobSpec WithRecipe(v1::JobSpec spec, const v1::ArtifactInfo& model) {
  const auto recipe = model.has_recipe() ? absl::StatusOr<v1::QuantizationRecipe>(model.recipe())
                                         : RecipeOfIdentity(model.quantization());
  if (!recipe.ok()) {
    return spec;  // Counts as FP32, the largest possible.
  }
  if (KindOf(spec).takes_quality_floor && !NamesQuantization(spec)) {
    SetRecipe(*recipe, spec);
  }
  return spec;
}

scheduler::DataMemory DataMemoryOf(const State& state, const v1::JobSpec& spec,
                                   const std::vector<scheduler::InputView>& views) {
  const v1::ModelShape* shape = DeclaredModel(spec);
  const v1::ArtifactInfo* const model = scheduler::FindInput(views, kModelInput);
  if (model != nullptr && model->has_model_shape()) {
    shape = &model->model_shape();
  }
  return shape == nullptr ? scheduler::DataMemory()
                          : scheduler::DataMemoryOf(
                                spec, views, scheduler::BytesPerToken(state.profiles, *shape));
}

std::vector<scheduler::ModelView> FamilyOf(const State& state, const PlanningInputs& inputs,
                                           const v1::JobSpec& spec,
                                           const std::vector<scheduler::InputView>& views) {
  std::vector<scheduler::ModelView> models;
  if (!spec.has_quality_floor()) {
    return models;
  }
  const v1::ArtifactInfo* const own = scheduler::FindInput(views, kModelInput);
  const std::string parent = own == nullptr ? "" : own->artifact_id();
  const scheduler::DataMemory data = DataMemoryOf(state, spec, views);
  const auto add = [&](const v1::ArtifactInfo& artifact) {
    const bool is_parent = artifact.artifact_id() == parent;
    scheduler::ModelView view{artifact, ReferenceOf(state, artifact), is_parent, {}};
    if (inputs.estimate_memory) {
      view.peak_memory =
          inputs.estimate_memory(WithRecipe(spec, artifact), artifact.model_shape(), data);
    }
    models.push_back(std::move(view));
  };
  if (spec.quality_floor().models_size() > 0) {
    for (const scheduler::InputView& view : views) {
      if (view.field == scheduler::kFloorModelsField) {
        add(view.artifact);
      }
    }
    return models;
  }
  if (own != nullptr) {
    add(*own);
  }
  const Scope readable = Scope::Of({ProjectOf(spec)});
  for (const auto& [id, artifact] : state.artifacts) {
    if (!parent.empty() && artifact.parent_artifact_id() == parent && readable.Covers(artifact)) {
      add(artifact);
    }
  }
  return models;
}

std::string WhyNoFamily(const v1::JobSpec& spec, const std::vector<scheduler::ModelView>& models) {
  for (const scheduler::ModelView& model : models) {
    if (model.is_parent && IsQuantized(model.artifact)) {
      return absl::StrCat(KindName(spec), ".model: ", model.reference, " is ",
                          model.artifact.quantization(),
                          ", and a quality_floor wants the model that it was made from; name that "
                          "one, or leave quality_floor out");
    }
  }
  return scheduler::WhyNoneMeets(spec.quality_floor(), models);
}

void SetParent(const State& state, v1::ArtifactInfo& output) {
  output.clear_parent_artifact_id();
  output.clear_bits_per_weight();
  output.clear_stored_bytes();
  output.clear_quality();
  const v1::JobRecord* record = FindJob(state, JobId(output.job_id()));
  const v1::ResolvedInput* const model =
      record == nullptr ? nullptr : FindInput(record->job(), kModelInput);
  if (model == nullptr) {
    return;
  }
  if (KindOf(record->job().spec()).quantizes_model) {
    output.set_parent_artifact_id(model->artifact_id());
  }
  const v1::ArtifactInfo* const source = state.artifacts.Find(ArtifactId(model->artifact_id()));
  output.clear_chat_template();
  if (output.has_model_shape() && source != nullptr && source->has_chat_template()) {
    *output.mutable_chat_template() = source->chat_template();
  }
}

void RecordMeasurement(DecisionBuilder& builder, const v1::Job& job, const v1::Receipt& receipt,
                       const std::string& output_artifact_id) {
  v1::ModelMeasured measured;
  if (KindOf(job.spec()).quantizes_model) {
    measured.set_artifact_id(output_artifact_id);
    measured.set_bits_per_weight(MetricOf(receipt, "bits_per_weight").value_or(0));
    measured.set_stored_bytes(static_cast<int64_t>(MetricOf(receipt, "stored_bytes").value_or(0)));
    if (auto quality = QualityIn(receipt, job, "calibration_data"); quality.has_value()) {
      *measured.mutable_quality() = *std::move(quality);
    }
  } else {
    const v1::ResolvedInput* const reference = FindInput(job, "reference_model");
    const v1::ResolvedInput* const model = FindInput(job, kModelInput);
    if (reference == nullptr || model == nullptr) {
      return;
    }
    const v1::ArtifactInfo* const artifact =
        builder.state().artifacts.Find(ArtifactId(model->artifact_id()));
    // Counts only for the model in the form of its files, compared with its parent.
    if (artifact == nullptr || artifact->parent_artifact_id().empty() ||
        artifact->parent_artifact_id() != reference->artifact_id() ||
        artifact->quantization() != receipt.work().signature().quantization()) {
      return;
    }
    auto quality = QualityIn(receipt, job, "data");
    if (!quality.has_value()) {
      return;
    }
    measured.set_artifact_id(model->artifact_id());
    *measured.mutable_quality() = *std::move(quality);
  }
  const bool tells =
      measured.bits_per_weight() > 0 || measured.stored_bytes() > 0 || measured.has_quality();
  if (tells && builder.state().artifacts.contains(ArtifactId(measured.artifact_id()))) {
    *builder.Add().mutable_model_measured() = std::move(measured);
  }
}

}  // namespace wattle::core
