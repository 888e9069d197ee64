// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/unknown_fields.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"

#include "base/status_macros.h"

namespace wattle::runtime {
namespace {

absl::Status Refuse(const google::protobuf::Message& message, const std::string& path) {
  const google::protobuf::Reflection* reflection = message.GetReflection();
  const google::protobuf::UnknownFieldSet& unknown = reflection->GetUnknownFields(message);
  if (!unknown.empty()) {
    return absl::UnimplementedError(
        absl::StrCat(path, ": field ", unknown.field(0).number(),
                     ": not supported in this version; update the coordinator or leave it out"));
  }
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    const std::string inner = absl::StrCat(path, ".", field->name());
    if (!field->is_repeated()) {
      WATTLE_RETURN_IF_ERROR(Refuse(reflection->GetMessage(message, field), inner));
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      WATTLE_RETURN_IF_ERROR(Refuse(reflection->GetRepeatedMessage(message, field, i),
                                    absl::StrCat(inner, "[", i, "]")));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RefuseUnknownFields(const google::protobuf::Message& message) {
  return Refuse(message, message.GetDescriptor()->name());
}

}  // namespace wattle::runtime
