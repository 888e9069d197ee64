// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "formats/job_file.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(policy_file, bytes) {
  WATTLE_ASSIGN_OR_RETURN(const auto policies, formats::ParsePolicyFile(bytes, "policy.yaml"));
  for (const v1::Policy& policy : policies) {
    WATTLE_RETURN_IF_ERROR(core::ValidatePolicy(policy));
  }
  return absl::OkStatus();
}
