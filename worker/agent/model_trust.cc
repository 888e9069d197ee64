// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/model_trust.h"

#include "absl/strings/str_cat.h"

#include "proto/job_kind.h"

namespace wattle::agent {

absl::Status CheckModels(const artifacts::Signers& signers, const v1::Assignment& assignment) {
  for (const v1::ResolvedInput& input : assignment.inputs()) {
    if (!IsModelInput(input.field())) {
      continue;
    }
    const absl::Status trusted = signers.CheckOneOf(input.artifact_id(), input.signatures());
    if (!trusted.ok()) {
      return absl::PermissionDeniedError(
          absl::StrCat("--signers of this board: ", trusted.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace wattle::agent
