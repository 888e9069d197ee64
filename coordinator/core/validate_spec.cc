// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Validates a job's spec before it enters the core. Each refusal is one line that names the field,
// its value and the accepted values. Pure.
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/job_kinds_internal.h"
#include "coordinator/core/message_checks_internal.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/model_shape.h"
#include "proto/spec_bounds.h"
#include "scheduler/place/rules/quality_floor.h"

namespace wattle::core {
namespace {

absl::Status CheckModel(const v1::JobSpec& spec, bool files_needed) {
  const std::string prefix = absl::StrCat(KindName(spec), ".");
  const v1::ModelShape* shape = DeclaredModel(spec);
  WATTLE_RETURN_IF_ERROR(CheckFilesOrShape({.prefix = prefix,
                                            .field = kModelInput,
                                            .shape_field = "model_shape",
                                            .has_files = !ReferenceIn(spec, kModelInput).empty(),
                                            .has_shape = shape != nullptr,
                                            .list_command = "wattle model ls"},
                                           files_needed));
  return shape == nullptr ? absl::OkStatus() : CheckModelShape(*shape, prefix + "model_shape");
}

absl::Status CheckKind(const v1::JobSpec& spec, bool files_needed) {
  if (spec.kind_case() == v1::JobSpec::KIND_NOT_SET) {
    return absl::InvalidArgumentError(absl::StrCat("spec: no kind; want one of ", JobKindNames()));
  }
  if (!KindOf(spec).wraps_workload) {
    WATTLE_RETURN_IF_ERROR(CheckModel(spec, files_needed));
  }
  const KindPart* const part = KindPartOf(spec);
  return part == nullptr ? absl::OkStatus() : part->check(spec, files_needed);
}

absl::Status CheckAntiAffinity(const v1::JobSpec& spec) {
  if (!spec.has_apart()) {
    return absl::OkStatus();
  }
  const v1::Apart& apart = spec.apart();
  if (apart.group().empty() || apart.group().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError(absl::StrCat("apart.group: \"", apart.group(),
                                                   "\": want the name of a group, 1 to ",
                                                   kNameCharactersMax, " characters"));
  }
  if (absl::StrContains(apart.by(), '=')) {
    return absl::InvalidArgumentError(absl::StrCat(
        "apart.by: \"", apart.by(), "\": want the key of a label alone, such as site"));
  }
  return absl::OkStatus();
}

absl::Status CheckSpec(const v1::JobSpec& spec, bool files_needed) {
  WATTLE_RETURN_IF_ERROR(RefuseUnknown(spec, ""));
  if (spec.name().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name: ", spec.name().size(), " characters: want at most ", kNameCharactersMax));
  }
  if (spec.owner().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "owner: ", spec.owner().size(), " characters: want at most ", kNameCharactersMax));
  }
  WATTLE_RETURN_IF_ERROR(CheckTexts(spec, ""));
  WATTLE_RETURN_IF_ERROR(scheduler::ValidateQualityFloor(spec));
  if (spec.required_labels_size() > kLabelsMax) {
    return absl::InvalidArgumentError(absl::StrCat("required_labels: ", spec.required_labels_size(),
                                                   " entries: want at most ", kLabelsMax));
  }
  for (const std::string& label : spec.required_labels()) {
    if (label.empty() || label.front() == '=') {
      return absl::InvalidArgumentError(
          absl::StrCat("required_labels: \"", label, "\": want key=value or key"));
    }
  }
  WATTLE_RETURN_IF_ERROR(CheckAntiAffinity(spec));
  WATTLE_RETURN_IF_ERROR(CheckSpecBounds(spec));
  return CheckKind(spec, files_needed);
}

}  // namespace

absl::Status ValidateSpec(const v1::JobSpec& spec, bool files_needed) {
  return InOneLine(CheckSpec(spec, files_needed));
}

}  // namespace wattle::core
