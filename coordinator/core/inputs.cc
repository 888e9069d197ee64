// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A spec's inputs by field. Pure.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "coordinator/core/core.h"
#include "coordinator/core/inputs_internal.h"
#include "proto/kind_name.h"
#include "proto/quantization_recipe.h"
#include "scheduler/place/snapshot.h"

namespace wattle::core {
namespace {

void AddUnlessEmpty(std::vector<InputReference>& inputs, absl::string_view field,
                    const std::string& reference) {
  if (!reference.empty()) {
    inputs.push_back({std::string(field), reference});
  }
}

// The data-set format that the kind reads; empty: any.
absl::string_view WantedFormat(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      return "squad";
    case v1::JobSpec::kGenerate:
      return "prompts";
    case v1::JobSpec::kQuantize:
    case v1::JobSpec::kEvaluate:
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return "";
}

}  // namespace

std::vector<InputReference> InputsOf(const v1::JobSpec& spec) {
  std::vector<InputReference> inputs;
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      AddUnlessEmpty(inputs, "model", spec.finetune().model());
      AddUnlessEmpty(inputs, "data", spec.finetune().data());
      AddUnlessEmpty(inputs, "heldout_data", spec.finetune().heldout_data());
      break;
    case v1::JobSpec::kQuantize:
      AddUnlessEmpty(inputs, "model", spec.quantize().model());
      AddUnlessEmpty(inputs, "calibration_data", spec.quantize().calibration_data());
      break;
    case v1::JobSpec::kGenerate:
      AddUnlessEmpty(inputs, "model", spec.generate().model());
      AddUnlessEmpty(inputs, "data", spec.generate().data());
      break;
    case v1::JobSpec::kEvaluate:
      AddUnlessEmpty(inputs, "model", spec.evaluate().model());
      AddUnlessEmpty(inputs, "data", spec.evaluate().data());
      AddUnlessEmpty(inputs, "reference_model", spec.evaluate().reference_model());
      break;
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  for (const std::string& model : spec.quality_floor().models()) {
    AddUnlessEmpty(inputs, scheduler::kFloorModelsField, model);
  }
  return inputs;
}

bool MakesModel(const v1::JobSpec& spec) {
  return spec.has_finetune() || spec.has_quantize();
}

bool IsQuantized(const v1::ArtifactInfo& model) {
  return !model.quantization().empty() && model.quantization() != kNoQuantization;
}

const v1::ModelShape* DeclaredShape(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      return spec.finetune().has_model_shape() ? &spec.finetune().model_shape() : nullptr;
    case v1::JobSpec::kQuantize:
      return spec.quantize().has_model_shape() ? &spec.quantize().model_shape() : nullptr;
    case v1::JobSpec::kGenerate:
      return spec.generate().has_model_shape() ? &spec.generate().model_shape() : nullptr;
    case v1::JobSpec::kEvaluate:
      return spec.evaluate().has_model_shape() ? &spec.evaluate().model_shape() : nullptr;
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

std::string ReferencedJob(absl::string_view reference) {
  if (absl::ConsumePrefix(&reference, "job:") && absl::ConsumeSuffix(&reference, "/output")) {
    return std::string(reference);
  }
  return "";
}

std::vector<JobId> ReferencedJobs(const v1::JobSpec& spec) {
  std::vector<JobId> jobs;
  for (const InputReference& input : InputsOf(spec)) {
    if (std::string job = ReferencedJob(input.reference); !job.empty()) {
      jobs.emplace_back(std::move(job));
    }
  }
  return jobs;
}

const v1::Job* FindSource(const State& state, const std::vector<v1::Job>& archived,
                          const std::string& job_id) {
  if (const v1::JobRecord* record = FindJob(state, JobId(job_id)); record != nullptr) {
    return &record->job();
  }
  for (const v1::Job& job : archived) {
    if (job.job_id() == job_id) {
      return &job;
    }
  }
  return nullptr;
}

std::string FieldName(const v1::JobSpec& spec, const InputReference& input) {
  return input.field == scheduler::kFloorModelsField
             ? input.field
             : absl::StrCat(KindName(spec), ".", input.field);
}

absl::Status CheckInputKind(const v1::JobSpec& spec, const InputReference& input,
                            const v1::ArtifactInfo& info) {
  const std::string where = absl::StrCat(FieldName(spec, input), ": ", input.reference);
  if (input.field == scheduler::kFloorModelsField || input.field == "model" ||
      input.field == "reference_model") {
    if (!info.has_model_shape()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, " is no model; 'wattle model ls' lists the models"));
    }
    return absl::OkStatus();
  }
  if (info.kind() == v1::ARTIFACT_KIND_MODEL || info.has_model_shape()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " is a model, a data set is wanted; 'wattle data ls' lists them"));
  }
  const absl::string_view wanted = WantedFormat(spec);
  const std::string& format = info.dataset().format();
  if (!wanted.empty() && !format.empty() && format != wanted) {
    return absl::InvalidArgumentError(absl::StrCat(where, " is a data set of format \"", format,
                                                   "\", \"", wanted, "\" is wanted"));
  }
  if ((spec.has_evaluate() || spec.has_quantize()) && format == "prompts") {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " is a list of prompts; a text or SQuAD file is wanted"));
  }
  if (spec.has_evaluate() && spec.evaluate().score_answers() && format == "text") {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " is a text; evaluate.score_answers wants a SQuAD file"));
  }
  return absl::OkStatus();
}

}  // namespace wattle::core
