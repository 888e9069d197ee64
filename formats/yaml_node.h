// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For readers of other YAML files: a node becomes a message by the same rules and with the same
// errors as in job and policy files (job_file.h). A field's range, and other forms of a value, are
// options in the .proto file (field_form.proto). Fields that proto2 calls required must be there.
// Part of the target wattle::job_file. Thread-safe.
#ifndef WATTLE_FORMATS_YAML_NODE_H_
#define WATTLE_FORMATS_YAML_NODE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

namespace wattle::formats {

// The file's one document. No exception of yaml-cpp leaves this function. Errors: kInvalidArgument.
absl::StatusOr<YAML::Node> ParseYaml(absl::string_view text, absl::string_view file);

// "FILE:LINE: ". What a flag put into the document stands in no line, and this says so.
std::string PlaceOf(const YAML::Mark& mark, absl::string_view file);

// Reads the fields of `node` into the message. Errors: kInvalidArgument, kUnimplemented; one line
// with file, line and field.
absl::Status ReadMessage(const YAML::Node& node, absl::string_view file,
                         google::protobuf::Message& message);

// The way back: "{name: a, selector: [b]}" on one line, with the fields that are set. ReadMessage
// reads it as the same message. For writers of YAML files.
std::string MessageText(const google::protobuf::Message& message);
// The text as a value or a key, in quotes where YAML could take it for something else.
std::string ScalarText(const std::string& text);
// The shortest text that is read as the same number.
std::string ScalarText(double number);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_YAML_NODE_H_
