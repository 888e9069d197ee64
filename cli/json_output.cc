// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/json_output.h"

#include <google/protobuf/util/json_util.h>

#include "base/check.h"

namespace wattle::cli {
namespace {

std::string ToJson(const google::protobuf::Message& message, bool add_whitespace) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = add_whitespace;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string out;
  const auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
  WATTLE_CHECK(status.ok(), "a message of our own protos has a JSON form");
  if (out.empty() || out.back() != '\n') {
    out += '\n';
  }
  return out;
}

}  // namespace

std::string ToJsonDocument(const google::protobuf::Message& message) {
  return ToJson(message, true);
}

std::string ToJsonLine(const google::protobuf::Message& message) {
  return ToJson(message, false);
}

}  // namespace wattle::cli
