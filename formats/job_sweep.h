// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A job file with a section `sweep` is several jobs that differ in the values of some fields:
// sweep: {learning_rate: [1e-4, 2e-4], lora.rank: [4, 8]} is four. Part of the target
// wattle::job_file. Thread-safe.
#ifndef WATTLE_FORMATS_JOB_SWEEP_H_
#define WATTLE_FORMATS_JOB_SWEEP_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/spec.pb.h"

namespace wattle::formats {

struct JobsOfFile {
  // For a sweep, each name contains the job's values; the last field of the file varies fastest.
  std::vector<v1::JobSpec> jobs;
  // The fields that the jobs differ in, by their path ("finetune.seed"); empty: the file has no
  // sweep and is one job.
  std::vector<std::string> swept;
};

// The jobs of a file with or without a sweep. Errors: those of ParseJobFile.
absl::StatusOr<JobsOfFile> ParseJobs(absl::string_view text, absl::string_view file);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JOB_SWEEP_H_
