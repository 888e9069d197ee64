// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A spec's inputs by field. Pure.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "coordinator/core/core.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/state.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/quantization_recipe.h"
#include "scheduler/place/snapshot.h"

namespace wattle::core {
namespace {

constexpr size_t kChainMax = 16;

// The format of a data set in words.
std::string InWords(absl::string_view format) {
  static constexpr std::pair<absl::string_view, absl::string_view> kWords[] = {
      {"squad", "a SQuAD file"},
      {"text", "a text"},
      {"chat", "conversations to learn from"},
      {"prompts", "prompts to answer"}};
  for (const auto& [name, words] : kWords) {
    if (name == format) {
      return std::string(words);
    }
  }
  return absl::StrCat("data of format \"", format, "\"");
}

}  // namespace

std::vector<InputReference> InputsOf(const v1::JobSpec& spec) {
  if (KindOf(spec).wraps_workload) {
    return InputsOf(ProfileRunOf(spec, {}));
  }
  std::vector<InputReference> inputs;
  const auto add = [&inputs](absl::string_view field, const std::string& reference) {
    if (!reference.empty()) {
      inputs.push_back({std::string(field), reference});
    }
  };
  for (const JobInput& input : KindOf(spec).inputs) {
    add(input.field, ReferenceIn(spec, input.field));
  }
  for (const std::string& model : spec.quality_floor().models()) {
    add(scheduler::kFloorModelsField, model);
  }
  return inputs;
}

bool IsModelField(absl::string_view field) {
  return IsModelInput(field) || field == scheduler::kFloorModelsField;
}

bool IsQuantized(const v1::ArtifactInfo& model) {
  return !model.quantization().empty() && model.quantization() != kNoQuantization;
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

const v1::ResolvedInput* FindInput(const v1::Job& job, absl::string_view field) {
  for (const v1::ResolvedInput& input : job.inputs()) {
    if (input.field() == field) {
      return &input;
    }
  }
  return nullptr;
}

absl::StatusOr<ModelChain> ChainOf(const State& state, const std::vector<v1::Job>& archived,
                                   std::string reference, const Scope& scope) {
  ModelChain chain;
  while (true) {
    absl::StatusOr<ArtifactId> id = ResolveArtifact(state, reference, scope);
    const v1::Job* source =
        id.ok() ? nullptr : FindSource(state, archived, ReferencedJob(reference));
    if (source != nullptr && !scope.Covers(source->spec())) {
      source = nullptr;
    }
    const v1::ArtifactInfo* const output =
        source == nullptr ? nullptr
                          : state.artifacts.Find(ArtifactId(source->output_artifact_id()));
    if (output != nullptr && scope.Covers(*output)) {
      id = ArtifactId(source->output_artifact_id());
    }
    if (id.ok()) {
      chain.stored = *std::move(id);
      return chain;
    }
    const v1::ResolvedInput* model = source == nullptr ? nullptr : FindInput(*source, kModelInput);
    if (model == nullptr || IsTerminal(source->state()) || chain.to_be_made.size() == kChainMax) {
      return id.status();
    }
    chain.to_be_made.push_back(source);
    reference = model->artifact_id().empty() ? model->reference() : model->artifact_id();
  }
}

std::string FieldName(const v1::JobSpec& spec, const InputReference& input) {
  if (KindOf(spec).wraps_workload) {
    return absl::StrCat(KindName(spec), ".", FieldName(WorkloadOf(spec), input));
  }
  return input.field == scheduler::kFloorModelsField
             ? input.field
             : absl::StrCat(KindName(spec), ".", input.field);
}

std::vector<scheduler::InputView> ViewsOf(const State& state, const v1::Job& job) {
  std::vector<scheduler::InputView> views;
  for (const v1::ResolvedInput& input : job.inputs()) {
    const auto artifact = state.artifacts.find(ArtifactId(input.artifact_id()));
    if (artifact != state.artifacts.end()) {
      views.push_back({input.field(), artifact->second});
    }
  }
  return views;
}

absl::Status CheckInputKind(const v1::JobSpec& spec, const InputReference& input,
                            const v1::ArtifactInfo& info) {
  if (KindOf(spec).wraps_workload) {
    return CheckInputKind(WorkloadOf(spec), input, info);
  }
  const std::string where = absl::StrCat(FieldName(spec, input), ": ", input.reference);
  if (IsModelField(input.field)) {
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
  const WantedData wanted = WantedDataOf(spec);
  const std::string& format = info.dataset().format();
  const bool fits =
      std::find(wanted.formats.begin(), wanted.formats.end(), format) != wanted.formats.end();
  if (format.empty() || fits) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      where, " holds ", InWords(format), "; ", wanted.asked_by, " wants ",
      absl::StrJoin(wanted.formats, " or ", [](std::string* out, absl::string_view each) {
        absl::StrAppend(out, InWords(each));
      })));
}

}  // namespace wattle::core
