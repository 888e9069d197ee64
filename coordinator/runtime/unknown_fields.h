// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The API accepts only fields that it supports: an unknown field of a newer client is refused
// instead of ignored.
#ifndef WATTLE_COORDINATOR_RUNTIME_UNKNOWN_FIELDS_H_
#define WATTLE_COORDINATOR_RUNTIME_UNKNOWN_FIELDS_H_

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace wattle::runtime {

// Errors: kUnimplemented, "SubmitJobRequest.spec: field 99: not supported in this version; …", when
// the message or a nested message has a field that this version does not know. Thread-safe.
absl::Status RefuseUnknownFields(const google::protobuf::Message& message);

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_UNKNOWN_FIELDS_H_
