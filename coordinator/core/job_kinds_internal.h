// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core's part of each kind of job (proto/job_kind.h): checks at submit, failures that are
// certain on every device, and changes for jobs that memory refuses. No other code in coordinator/
// depends on the kind of a job. Private to coordinator/core. Pure; thread-safe.
#ifndef WATTLE_COORDINATOR_CORE_JOB_KINDS_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_JOB_KINDS_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "coordinator/core/leaner_forms_internal.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// The model that a job starts from.
struct JobModel {
  const v1::ArtifactInfo* artifact = nullptr;  // Null: declared, or unknown.
  const v1::ModelShape& shape;                 // Zeros where unknown.
};

struct KindPart {
  v1::JobSpec::KindCase kind_case = v1::JobSpec::KIND_NOT_SET;
  // Checks combinations of fields other than those of the model. files_needed: see ValidateSpec.
  absl::Status (*check)(const v1::JobSpec& spec, bool files_needed) = nullptr;
  // Implements CertainFailure; null: no job of this kind fails for certain.
  std::string (*certain_failure)(const v1::JobSpec& spec, const JobModel& model,
                                 const std::vector<scheduler::InputView>& inputs) = nullptr;
  // Implements LeanerForms, but may include forms that ValidateSpec refuses; null: there are none.
  std::vector<ChangedSpec> (*leaner_forms)(const v1::JobSpec& spec) = nullptr;
  // Implement OtherBatches and QuantizedForms, with the same allowance.
  std::vector<ChangedSpec> (*other_batches)(const v1::JobSpec& spec) = nullptr;
  std::vector<ChangedSpec> (*quantized_forms)(const v1::JobSpec& spec) = nullptr;
};

absl::Span<const KindPart> KindParts();

// Null if the spec has no kind, or the kind has no part.
const KindPart* KindPartOf(const v1::JobSpec& spec);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_JOB_KINDS_INTERNAL_H_
