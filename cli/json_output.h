// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Protobuf JSON for scripts. Fields have their proto names. Every field that is not a message is
// present, even if it is 0 or empty, so a script need not test for it. 64-bit integers are strings,
// as in protobuf's JSON mapping. Thread-safe.
#ifndef WATTLE_CLI_JSON_OUTPUT_H_
#define WATTLE_CLI_JSON_OUTPUT_H_

#include <string>

#include <google/protobuf/message.h>

namespace wattle::cli {

// One document over several lines, with a newline at its end.
[[nodiscard]] std::string ToJsonDocument(const google::protobuf::Message& message);

// One document on one line, for streams: JSON lines.
[[nodiscard]] std::string ToJsonLine(const google::protobuf::Message& message);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JSON_OUTPUT_H_
