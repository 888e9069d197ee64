// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The parts of the job file reader (job_file.cc) that the sweep reader shares. Thread-safe.
#ifndef WATTLE_FORMATS_JOB_DOCUMENT_INTERNAL_H_
#define WATTLE_FORMATS_JOB_DOCUMENT_INTERNAL_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <yaml-cpp/yaml.h>

#include "wattle/v1/spec.pb.h"

namespace wattle::formats {

inline constexpr char kSweepField[] = "sweep";

// The only document of a job file.
absl::StatusOr<YAML::Node> LoadJobDocument(absl::string_view text, absl::string_view file);
// The job of the document. Errors: kInvalidArgument also for a job without a kind.
absl::StatusOr<v1::JobSpec> ReadJobDocument(const YAML::Node& document, absl::string_view file);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JOB_DOCUMENT_INTERNAL_H_
