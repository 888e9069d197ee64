// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The core's part of each kind of job (proto/job_kind.h): what is refused before it enters, what
// would fail on every device, and what it could be changed to where memory refuses it. Nothing else
// in coordinator/ asks which kind a job is. Private to coordinator/core. Pure; thread-safe.
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
  const v1::ArtifactInfo* artifact = nullptr;  // Null: declared, or not known.
  const v1::ModelShape& shape;                 // With zeros where it is not known.
};

struct KindPart {
  v1::JobSpec::KindCase kind_case = v1::JobSpec::KIND_NOT_SET;
  // Fields that do not go together, besides those of the model. files_needed: as in ValidateSpec.
  absl::Status (*check)(const v1::JobSpec& spec, bool files_needed) = nullptr;
  // As CertainFailure; null: nothing is known against any such job.
  std::string (*certain_failure)(const v1::JobSpec& spec, const JobModel& model,
                                 const std::vector<scheduler::InputView>& inputs) = nullptr;
  // As LeanerForms, and with forms that ValidateSpec refuses; null: there are none.
  std::vector<ChangedSpec> (*leaner_forms)(const v1::JobSpec& spec) = nullptr;
  // As OtherBatches and QuantizedForms, likewise.
  std::vector<ChangedSpec> (*other_batches)(const v1::JobSpec& spec) = nullptr;
  std::vector<ChangedSpec> (*quantized_forms)(const v1::JobSpec& spec) = nullptr;
};

absl::Span<const KindPart> KindParts();

// Null: the spec has no kind, or there is no part of it.
const KindPart* KindPartOf(const v1::JobSpec& spec);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_JOB_KINDS_INTERNAL_H_
