// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The protocol's messages as JSON, by protobuf's JSON mapping: field names as in the .proto files,
// defaults printed, 64-bit integers as strings. Thread-safe.
#ifndef WATTLE_COORDINATOR_HTTP_JSON_H_
#define WATTLE_COORDINATOR_HTTP_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace wattle::http {

std::string ToJson(const google::protobuf::Message& message);
// For google.protobuf.ListValue and Struct, which stand for any JSON. Adds no default fields.
std::string ToPlainJson(const google::protobuf::Message& message);
// Errors: kInvalidArgument for an unknown field or a wrong type, with protobuf's message in one
// line.
absl::Status FromJson(const std::string& json, google::protobuf::Message& message);
// {"code":"NOT_FOUND","message":"…"}
std::string ErrorJson(const absl::Status& status);
// The HTTP status for a canonical code.
int HttpStatus(const absl::Status& status);

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_JSON_H_
