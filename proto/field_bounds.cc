// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/field_bounds.h"

#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/descriptor.h"

namespace wattle {
namespace {

namespace pb = google::protobuf;

double NumberIn(const pb::Message& message, const pb::FieldDescriptor* field) {
  const pb::Reflection& reflection = *message.GetReflection();
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, field);
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(message, field));
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, field);
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(reflection.GetUInt64(message, field));
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return static_cast<double>(reflection.GetFloat(message, field));
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, field);
    default:
      break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// nullopt if a message on the path is not set. NaN, which no bound allows, if the path leads to no
// number, so that the check names the path.
std::optional<double> NumberAt(const pb::Message& message, absl::string_view path) {
  const size_t dot = path.find('.');
  const pb::FieldDescriptor* field =
      message.GetDescriptor()->FindFieldByName(std::string(path.substr(0, dot)));
  if (field == nullptr || (field->message_type() != nullptr) != (dot != absl::string_view::npos)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (dot == absl::string_view::npos) {
    return NumberIn(message, field);
  }
  if (!message.GetReflection()->HasField(message, field)) {
    return std::nullopt;
  }
  return NumberAt(message.GetReflection()->GetMessage(message, field), path.substr(dot + 1));
}

// The value in plain digits: "31622400", not "3.16224e+07".
std::string Words(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? absl::StrFormat("%.0f", value)
                                                              : absl::StrCat(value);
}

}  // namespace

absl::Status CheckBounds(const pb::Message& message, absl::string_view prefix,
                         absl::Span<const FieldBound> bounds) {
  for (const FieldBound& bound : bounds) {
    const std::optional<double> value = NumberAt(message, bound.path);
    // The negated comparison also refuses NaN.
    if (value.has_value() && !(*value >= bound.min && *value <= bound.max)) {
      return absl::InvalidArgumentError(absl::StrCat(prefix, bound.path, ": ", Words(*value),
                                                     ": want ", Words(bound.min), " to ",
                                                     Words(bound.max)));
    }
  }
  return absl::OkStatus();
}

}  // namespace wattle
