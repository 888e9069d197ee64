// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For programs that read YAML files of their own with jobs, policies or model shapes: the same
// messages, rules and errors as in job and policy files (job_file.h). Part of the target
// wattle::job_file. Thread-safe.
#ifndef WATTLE_FORMATS_YAML_NODE_H_
#define WATTLE_FORMATS_YAML_NODE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

namespace wattle::formats {

// The only document of the file. No exception of yaml-cpp leaves this function. Errors:
// kInvalidArgument.
absl::StatusOr<YAML::Node> ParseYaml(absl::string_view text, absl::string_view file);

// "FILE:LINE: ". What a flag put into the document stands in no line, and this says so.
std::string PlaceOf(const YAML::Mark& mark, absl::string_view file);

// Reads the fields of `node` into the message. Errors: kInvalidArgument, kUnimplemented; one line
// with file, line and field.
absl::Status ReadMessage(const YAML::Node& node, absl::string_view file,
                         google::protobuf::Message& message);

// The inverse, for writers of YAML files: "{name: a, selector: [b]}" on one line, with the fields
// that are set. ReadMessage reads it as the same message.
std::string MessageText(const google::protobuf::Message& message);
// The text as a value or a key, quoted if YAML could read it as something else.
std::string ScalarText(const std::string& text);
// The shortest text that is read as the same number.
std::string ScalarText(double number);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_YAML_NODE_H_
