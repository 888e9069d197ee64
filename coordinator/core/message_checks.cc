// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "coordinator/core/core.h"
#include "coordinator/core/message_checks_internal.h"

namespace wattle::core {
namespace {

constexpr size_t kTextBytesMax = 500;   // For every text without its own bound.
constexpr size_t kToldBytesMax = 2000;  // Like a line of a job's log.

}  // namespace

absl::Status InOneLine(const absl::Status& refusal) {
  return {refusal.code(), OneLine(refusal.message())};
}

absl::Status RefuseUnknown(const google::protobuf::Message& message, const std::string& path) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty()) {
    return absl::UnimplementedError(absl::StrCat(
        path, ": field number ", reflection.GetUnknownFields(message).field(0).number(),
        ": not supported in this version; update the coordinator"));
  }
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    const std::string name = path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_ENUM &&
        !field->is_repeated() &&
        field->enum_type()->FindValueByNumber(reflection.GetEnumValue(message, field)) == nullptr) {
      return absl::UnimplementedError(absl::StrCat(name, ": value ",
                                                   reflection.GetEnumValue(message, field),
                                                   ": not supported in this version"));
    }
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE &&
        !field->is_repeated()) {
      WATTLE_RETURN_IF_ERROR(RefuseUnknown(reflection.GetMessage(message, field), name));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTexts(const google::protobuf::Message& message, const std::string& path) {
  using Field = google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const Field*> fields;
  reflection.ListFields(message, &fields);
  for (const Field* field : fields) {
    const std::string name = path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
        WATTLE_RETURN_IF_ERROR(CheckTexts(field->is_repeated()
                                              ? reflection.GetRepeatedMessage(message, field, i)
                                              : reflection.GetMessage(message, field),
                                          name));
      } else if (field->cpp_type() == Field::CPPTYPE_STRING && field->name() != "prompts") {
        WATTLE_RETURN_IF_ERROR(ValidateText(
            name, field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                       : reflection.GetString(message, field)));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateText(absl::string_view field, absl::string_view text) {
  if (text.size() > kTextBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", text.size(), " bytes: want at most ", kTextBytesMax));
  }
  return absl::OkStatus();
}

std::string ToldText(absl::string_view text) {
  text = text.substr(0, kToldBytesMax);
  return std::string(text.substr(0, ValidUtf8Prefix(text)));
}

absl::Status CheckFilesOrShape(const FilesOrShape& input, bool files_needed) {
  if (input.has_files && input.has_shape) {
    return absl::InvalidArgumentError(absl::StrCat(input.prefix, input.shape_field,
                                                   ": give either ", input.field, " or ",
                                                   input.shape_field, ", not both"));
  }
  if (files_needed && input.has_shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        input.prefix, input.shape_field, ": files are needed to run: name an artifact in ",
        input.prefix, input.field, "; to predict without files use 'wattle plan'"));
  }
  if (!input.has_files && !input.has_shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(input.prefix, input.field, ": missing; want an artifact's name or id ('",
                     input.list_command, "' lists them) or job:ID/output"));
  }
  return absl::OkStatus();
}

}  // namespace wattle::core
