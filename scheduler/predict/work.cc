// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/work.h"

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "proto/job_kind.h"
#include "proto/model_shape.h"
#include "proto/spec_bounds.h"
#include "scheduler/predict/job_kinds.h"

namespace wattle::scheduler {
namespace {

// The declared shape, else the model artifact's shape.
absl::StatusOr<v1::ModelShape> ShapeOf(const v1::JobSpec& spec,
                                       absl::Span<const InputView> inputs) {
  const absl::string_view kind = KindOf(spec).name;
  if (const v1::ModelShape* declared = DeclaredModel(spec); declared != nullptr) {
    WATTLE_RETURN_IF_ERROR(CheckModelShape(*declared, absl::StrCat(kind, ".model_shape")));
    return *declared;
  }
  const v1::ArtifactInfo* const model = FindInput(inputs, kModelInput);
  if (model == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        kind,
        ".model: names no known artifact; push the model, or declare model_shape for a plan"));
  }
  WATTLE_RETURN_IF_ERROR(CheckModelShape(
      model->model_shape(), absl::StrCat(kind, ".model: artifact ", model->artifact_id())));
  return model->model_shape();
}

}  // namespace

const v1::ArtifactInfo* FindInput(absl::Span<const InputView> inputs, absl::string_view field) {
  for (const InputView& input : inputs) {
    if (input.field == field) {
      return &input.artifact;
    }
  }
  return nullptr;
}

void KeepNothing(WorkAmount& work) {
  work.checkpoint_every_steps = 0;
  work.checkpoint_bytes = 0;
  work.result_bytes = 0;
}

absl::StatusOr<WorkAmount> WorkOf(const v1::JobSpec& spec, absl::Span<const InputView> inputs,
                                  const ProfileTable& table) {
  WATTLE_RETURN_IF_ERROR(CheckSpecBounds(spec));
  if (spec.kind_case() == v1::JobSpec::KIND_NOT_SET) {
    return absl::InvalidArgumentError(absl::StrCat("kind: missing; want one of ", JobKindNames()));
  }
  WATTLE_ASSIGN_OR_RETURN(const v1::ModelShape shape, ShapeOf(spec, inputs));
  const KindPart* const part = KindPartOf(spec);
  return part == nullptr
             ? absl::UnimplementedError(absl::StrCat(KindOf(spec).name, ": no amount of work"))
             : part->work(spec, shape, inputs, table);
}

}  // namespace wattle::scheduler
