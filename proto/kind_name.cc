// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/kind_name.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace wattle {
namespace {

std::string FieldOf(const google::protobuf::Message& message, const std::string& oneof) {
  const google::protobuf::FieldDescriptor* field = message.GetReflection()->GetOneofFieldDescriptor(
      message, message.GetDescriptor()->FindOneofByName(oneof));
  return field == nullptr ? "" : field->name();
}

}  // namespace

std::string KindName(const v1::JobSpec& spec) {
  return FieldOf(spec, "kind");
}

std::string KindName(const v1::Event& event) {
  return FieldOf(event, "event");
}

}  // namespace wattle
