// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Job and policy files: YAML or JSON text (JSON is YAML) to protobuf messages, by reflection. Field
// names are those of the .proto files, enum values are lower case without their prefix (objective:
// energy). Anything that would be ignored is an error: an unknown field, a field twice, another
// type, a unit that the field does not have, a field of a coming version. Every error is one line:
// job.yaml:7: precison: unknown field; did you mean "precision"? In the target wattle::job_file, so
// that only its users link yaml-cpp. Thread-safe.
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

// file: name for messages, as the user wrote it. One document a file.
// Errors: kInvalidArgument; kUnimplemented "... not supported in this version" for what the design
// names and this version does not have; ReadX also kNotFound.
absl::StatusOr<v1::JobSpec> ParseJobFile(absl::string_view text, absl::string_view file);
absl::StatusOr<v1::JobSpec> ReadJobFile(const std::string& path);

// Policies, one for each YAML document ("---" between them); names must differ.
absl::StatusOr<std::vector<v1::Policy>> ParsePolicyFile(absl::string_view text,
                                                        absl::string_view file);
absl::StatusOr<std::vector<v1::Policy>> ReadPolicyFile(const std::string& path);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_JOB_FILE_H_
