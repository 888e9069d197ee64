// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "formats/job_file.h"
#include "formats/job_sweep.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(job_file, bytes) {
  WATTLE_ASSIGN_OR_RETURN(const formats::JobsOfFile read, formats::ParseJobs(bytes, "job.yaml"));
  for (const v1::JobSpec& spec : read.jobs) {
    const auto again = formats::ParseJobFile(formats::JobFileText(spec), "job.yaml");
    WATTLE_CHECK(again.ok() && again->SerializeAsString() == spec.SerializeAsString(),
                 "a job's text is that of the same job");
    WATTLE_RETURN_IF_ERROR(core::ValidateSpec(spec, /*files_needed=*/true));
  }
  return absl::OkStatus();
}
