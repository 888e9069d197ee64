// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// SubmitJob: recognizes repeated submits, validates the spec and resolves its inputs. Pure.
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/anti_affinity_jobs.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/inputs_internal.h"
#include "coordinator/core/projects.h"
#include "coordinator/core/quota.h"
#include "coordinator/core/state.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "scheduler/place/snapshot.h"

namespace wattle::core {
namespace {

constexpr size_t kKeyBytesMax = 200;

// Checks a reference to the output of a job, which may not exist yet. Sets artifact_id if the
// output exists.
absl::Status ResolveJobOutput(const State& state, const SubmitJob& command,
                              const InputReference& input, v1::ResolvedInput* resolved) {
  const v1::JobSpec& spec = command.spec;
  const std::string where = absl::StrCat(FieldName(spec, input), ": ");
  const std::string source_id = ReferencedJob(input.reference);
  const v1::Job* source = FindSource(state, command.archived_sources, source_id);
  if (source == nullptr || ProjectOf(source->spec()) != ProjectOf(spec)) {
    return absl::NotFoundError(
        absl::StrCat(where, "no job \"", source_id, "\"; 'wattle jobs' lists them"));
  }
  if (!IsModelField(input.field)) {
    return absl::UnimplementedError(absl::StrCat(
        where, "a job's output as data: not supported in this version; pull and push it"));
  }
  const v1::Job& job = *source;
  if (!KindOf(job.spec()).makes_model) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, "job ", source_id, " (", KindName(job.spec()), ") makes no model"));
  }
  if (job.state() == v1::JOB_STATE_FAILED || job.state() == v1::JOB_STATE_CANCELLED) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, "job ", source_id, " has ended without output: ", job.reason()));
  }
  if (input.field == scheduler::kFloorModelsField && job.output_artifact_id().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        where, "job ", source_id, " has not ended; submit the job once its output is there"));
  }
  resolved->set_artifact_id(job.output_artifact_id());
  return absl::OkStatus();
}

// Checks the output of a job that has ended, or a pushed artifact. A future output is signed when
// it is made.
absl::Status CheckSigned(const State& state, const Observations& observations,
                         const v1::JobSubmitted& submitted) {
  for (const v1::ResolvedInput& input : submitted.inputs()) {
    const v1::ArtifactInfo* const model =
        IsModelField(input.field()) ? state.artifacts.Find(ArtifactId(input.artifact_id()))
                                    : nullptr;
    if (model != nullptr && observations.check_model) {
      WATTLE_RETURN_IF_ERROR(WithContext(absl::StrCat(input.field(), ": ", input.reference()),
                                         observations.check_model(*model)));
    }
  }
  return absl::OkStatus();
}

absl::Status ResolveInputs(const State& state, const SubmitJob& command,
                           v1::JobSubmitted* submitted) {
  const v1::JobSpec& spec = command.spec;
  const Scope own = Scope::Of({ProjectOf(spec)});
  for (const InputReference& input : InputsOf(spec)) {
    v1::ResolvedInput* resolved = submitted->add_inputs();
    resolved->set_field(input.field);
    resolved->set_reference(input.reference);
    if (!ReferencedJob(input.reference).empty()) {
      WATTLE_RETURN_IF_ERROR(ResolveJobOutput(state, command, input, resolved));
      continue;
    }
    const absl::StatusOr<ArtifactId> id = ResolveArtifact(state, input.reference, own);
    if (!id.ok()) {
      return WithContext(FieldName(spec, input), id.status());
    }
    WATTLE_RETURN_IF_ERROR(CheckInputKind(spec, input, state.artifacts.at(*id)));
    resolved->set_artifact_id(id->value());
  }
  return absl::OkStatus();
}

// Also resolves the inputs into `submitted`.
absl::Status CheckAndResolve(const DecisionBuilder& builder, const SubmitJob& command,
                             v1::JobSubmitted& submitted) {
  const State& state = builder.state();
  WATTLE_RETURN_IF_ERROR(ValidateSpec(command.spec, /*files_needed=*/true));
  WATTLE_RETURN_IF_ERROR(CheckProjectExists(state, "project", ProjectOf(command.spec)));
  WATTLE_RETURN_IF_ERROR(CheckAntiAffinityGroup(state, command.spec));
  WATTLE_RETURN_IF_ERROR(ResolveInputs(state, command, &submitted));
  WATTLE_RETURN_IF_ERROR(CheckSigned(state, builder.observations(), submitted));
  return CheckQuota(state, builder.observations(), command, builder.now());
}

}  // namespace

absl::Status CheckRepeatedSubmit(const v1::Job& job, absl::string_view idempotency_key,
                                 const v1::JobSpec& spec) {
  if (job.spec().SerializeAsString() == spec.SerializeAsString()) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(absl::StrCat("idempotency_key: \"", idempotency_key,
                                               "\" was used for ", job.job_id(),
                                               " with another spec; use a new key for a new job"));
}

void Decide(DecisionBuilder& builder, const SubmitJob& command) {
  const State& state = builder.state();
  if (command.idempotency_key.empty() || command.idempotency_key.size() > kKeyBytesMax) {
    builder.Refuse(absl::InvalidArgumentError(absl::StrCat(
        "idempotency_key: ", command.idempotency_key.size(), " bytes: want 1 to ", kKeyBytesMax,
        "; send one random text for each job, the same when repeating")));
    return;
  }
  const auto known = state.job_by_idempotency_key.find(command.idempotency_key);
  if (known != state.job_by_idempotency_key.end()) {
    const v1::Job& job = state.jobs.at(known->second).job();
    if (absl::Status same = CheckRepeatedSubmit(job, command.idempotency_key, command.spec);
        !same.ok()) {
      builder.Refuse(same);
      return;
    }
    builder.decision().id = job.job_id();
    builder.decision().existed = true;
    return;
  }
  v1::JobSubmitted submitted;
  if (absl::Status may = CheckAndResolve(builder, command, submitted); !may.ok()) {
    builder.Refuse(may);
    return;
  }
  const std::string job_id = absl::StrCat("j", state.next_job_number);
  submitted.set_job_id(job_id);
  *submitted.mutable_spec() = command.spec;
  submitted.set_idempotency_key(command.idempotency_key);
  std::string waits_for;
  for (const v1::ResolvedInput& input : submitted.inputs()) {
    if (input.artifact_id().empty()) {
      waits_for = input.reference();
    }
  }
  *builder.Add().mutable_job_submitted() = std::move(submitted);
  if (waits_for.empty()) {
    builder.SetJob(job_id, v1::JOB_STATE_QUEUED, "submitted");
  } else {
    builder.SetJob(job_id, v1::JOB_STATE_WAITING, absl::StrCat("waits for ", waits_for));
  }
  builder.decision().id = job_id;
}

}  // namespace wattle::core
