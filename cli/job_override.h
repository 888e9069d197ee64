// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// "--set finetune.seed=2" sets a field of a job file on the command line. The reader of job files
// parses the value, so names, types, units and advice are those of a job file. Thread-safe.
#ifndef WATTLE_CLI_JOB_OVERRIDE_H_
#define WATTLE_CLI_JOB_OVERRIDE_H_

#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "wattle/v1/spec.pb.h"

namespace wattle::cli {

// The job in `path` ("-": in `input`) with `assignments` ("objective=time", "finetune.seed=2",
// lists as "[a, b]") applied in order. Errors: kInvalidArgument, kUnimplemented; a file that cannot
// be read is kInvalidArgument too.
absl::StatusOr<v1::JobSpec> ReadJob(const std::string& path,
                                    const std::vector<std::string>& assignments,
                                    std::istream& input);

// The jobs in `path`, which may contain a sweep (formats/job_sweep.h): several jobs, each with the
// assignments. Errors: those of ReadJob, and an assignment to a field that the sweep varies.
absl::StatusOr<std::vector<v1::JobSpec>> ReadJobs(const std::string& path,
                                                  const std::vector<std::string>& assignments,
                                                  std::istream& input);

// Applies one assignment. An assignment cannot change the kind of the job: a field of another kind
// is an error.
absl::Status ApplyOverride(const std::string& assignment, v1::JobSpec* spec);

// Every path that can be set in a job of some kind ("objective", "finetune.seed"), in the order of
// the .proto file. For completion and for the reference.
std::vector<std::string> OverridePaths();

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_OVERRIDE_H_
