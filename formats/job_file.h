// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Job and policy files: YAML or JSON text (JSON is YAML) to protobuf messages, by reflection. Field
// names are those of the .proto files. Enum values are lower case without their prefix (objective:
// energy). Nothing in a file is ignored: an unknown or repeated field, a value of another type or
// with another unit, and a field of a later version are errors. Every error is one line:
// job.yaml:7: precison: unknown field; did you mean "precision"? wattle::job_file is a separate
// target, so that only its users link yaml-cpp. Thread-safe.
#ifndef WATTLE_FORMATS_JOB_FILE_H_
#define WATTLE_FORMATS_JOB_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/policy.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::formats {

// A file has one document. file: the name for messages, as the user wrote it.
// Errors: kInvalidArgument; kUnimplemented "... not supported in this version" for a field of the
// design that this version does not have yet; ReadJobFile also kNotFound.
absl::StatusOr<v1::JobSpec> ParseJobFile(absl::string_view text, absl::string_view file);
absl::StatusOr<v1::JobSpec> ReadJobFile(const std::string& path);
// The text that ReadJobFile parses. Errors: kNotFound; kInvalidArgument if the file is too large.
absl::StatusOr<std::string> ReadJobText(const std::string& path);

// Each YAML document of the file ("---" between them) is one policy. The names must differ.
absl::StatusOr<std::vector<v1::Policy>> ParsePolicyFile(absl::string_view text,
                                                        absl::string_view file);
absl::StatusOr<std::vector<v1::Policy>> ReadPolicyFile(const std::string& path);

// The inverse: YAML that ParseJobFile reads as the same job. Contains the fields that are set, in
// the order of the .proto file, with the names and words of job files.
std::string JobFileText(const v1::JobSpec& spec);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JOB_FILE_H_
