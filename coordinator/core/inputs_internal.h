// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Lists the inputs of a spec by field, for every kind of job. Private to coordinator/core.
#ifndef WATTLE_COORDINATOR_CORE_INPUTS_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_INPUTS_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "coordinator/core/state.h"
#include "scheduler/predict/work.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

struct InputReference {
  std::string field;  // A field of the job's kind (proto/job_kind.h), or "quality_floor.models".
  std::string reference;  // Never empty.
};
std::vector<InputReference> InputsOf(const v1::JobSpec& spec);

// Whether an input of this name is a model; otherwise it is a data set.
bool IsModelField(absl::string_view field);

// The field as written in a job file: "generate.model".
std::string FieldName(const v1::JobSpec& spec, const InputReference& input);

// Whether the model's files hold quantized weights.
bool IsQuantized(const v1::ArtifactInfo& model);

// "j3" of "job:j3/output"; empty for any other reference.
std::string ReferencedJob(absl::string_view reference);

// The job from the state or from `archived`; null if neither has it.
const v1::Job* FindSource(const State& state, const std::vector<v1::Job>& archived,
                          const std::string& job_id);

// The origin of a model reference.
struct ModelChain {
  ArtifactId stored;  // The artifact that exists.
  std::vector<const v1::Job*>
      to_be_made;  // The jobs between that have no output yet; newest first.
};

// Finds the stored artifact behind a reference. For an output that no job has made yet, ChainOf
// follows the model that the job reads, and so on, at most 16 jobs back. Artifacts out of the scope
// are treated as missing. Errors: those of ResolveArtifact.
absl::StatusOr<ModelChain> ChainOf(const State& state, const std::vector<v1::Job>& archived,
                                   std::string reference, const Scope& scope);

// The input of the field; null if the job has none.
const v1::ResolvedInput* FindInput(const v1::Job& job, absl::string_view field);

// The resolved inputs whose artifacts exist.
std::vector<scheduler::InputView> ViewsOf(const State& state, const v1::Job& job);

// Checks that the artifact is of the kind that the field needs. Errors: kInvalidArgument names the
// field and the remedy.
absl::Status CheckInputKind(const v1::JobSpec& spec, const InputReference& input,
                            const v1::ArtifactInfo& info);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_INPUTS_INTERNAL_H_
