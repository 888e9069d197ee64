// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "formats/job_file.h"
#include "formats/yaml_node.h"

namespace wattle::formats {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

// Whether the text must be quoted: YAML would read it as something other than text, or a person
// could mistake it.
bool NeedsQuotes(const std::string& text) {
  static constexpr std::array<absl::string_view, 8> kWords = {"true", "false", "yes",  "no",
                                                              "on",   "off",   "null", "y"};
  const auto plain = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' ||
           c == '/';
  };
  const std::string lower = absl::AsciiStrToLower(text);
  return text.empty() || !absl::ascii_isalpha(static_cast<unsigned char>(text[0])) ||
         !std::all_of(text.begin(), text.end(), plain) || lower == "n" ||
         std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

std::string TextScalar(const std::string& text) {
  if (!NeedsQuotes(text)) {
    return text;
  }
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", std::string(1, c));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      absl::StrAppend(&out, absl::StrFormat("\\x%02X", byte));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// The shortest decimal text that reads back as the same number.
std::string NumberScalar(double value) {
  for (int digits = 6; digits < 17; ++digits) {
    const std::string text = absl::StrFormat("%.*g", digits, value);
    double back = 0.0;
    if (absl::SimpleAtod(text, &back) && back == value) {
      return text;
    }
  }
  return absl::StrFormat("%.17g", value);
}

// OBJECTIVE_ENERGY → "energy".
std::string EnumScalar(const pb::EnumDescriptor* type, int value) {
  const pb::EnumValueDescriptor* found = type->FindValueByNumber(value);
  const absl::string_view prefix = absl::StripSuffix(type->value(0)->name(), "UNSPECIFIED");
  return found == nullptr ? absl::StrCat(value)
                          : absl::AsciiStrToLower(absl::StripPrefix(found->name(), prefix));
}

// One value of a non-message field. index: of the element in a repeated field, else -1.
std::string Scalar(const pb::Message& message, const Field* field, int index) {
  const pb::Reflection& reflection = *message.GetReflection();
  const bool listed = index >= 0;
  switch (field->cpp_type()) {
    case Field::CPPTYPE_STRING:
      return TextScalar(listed ? reflection.GetRepeatedString(message, field, index)
                               : reflection.GetString(message, field));
    case Field::CPPTYPE_ENUM:
      return EnumScalar(field->enum_type(),
                        listed ? reflection.GetRepeatedEnumValue(message, field, index)
                               : reflection.GetEnumValue(message, field));
    case Field::CPPTYPE_BOOL:
      return (listed ? reflection.GetRepeatedBool(message, field, index)
                     : reflection.GetBool(message, field))
                 ? "true"
                 : "false";
    case Field::CPPTYPE_INT32:
      return absl::StrCat(listed ? reflection.GetRepeatedInt32(message, field, index)
                                 : reflection.GetInt32(message, field));
    case Field::CPPTYPE_INT64:
      return absl::StrCat(listed ? reflection.GetRepeatedInt64(message, field, index)
                                 : reflection.GetInt64(message, field));
    case Field::CPPTYPE_UINT32:
      return absl::StrCat(listed ? reflection.GetRepeatedUInt32(message, field, index)
                                 : reflection.GetUInt32(message, field));
    case Field::CPPTYPE_UINT64:
      return absl::StrCat(listed ? reflection.GetRepeatedUInt64(message, field, index)
                                 : reflection.GetUInt64(message, field));
    case Field::CPPTYPE_FLOAT:
      return NumberScalar(
          static_cast<double>(listed ? reflection.GetRepeatedFloat(message, field, index)
                                     : reflection.GetFloat(message, field)));
    case Field::CPPTYPE_DOUBLE:
      return NumberScalar(listed ? reflection.GetRepeatedDouble(message, field, index)
                                 : reflection.GetDouble(message, field));
    case Field::CPPTYPE_MESSAGE:
      break;
  }
  return "";
}

std::vector<const Field*> SetFields(const pb::Message& message) {
  std::vector<const Field*> fields;
  message.GetReflection()->ListFields(message, &fields);
  return fields;
}

// "{tensor: head, format: {bits: 8}}", for messages in a list.
std::string Flow(const pb::Message& message);

std::string FlowValue(const pb::Message& message, const Field* field) {
  const pb::Reflection& reflection = *message.GetReflection();
  if (!field->is_repeated()) {
    return field->cpp_type() == Field::CPPTYPE_MESSAGE ? Flow(reflection.GetMessage(message, field))
                                                       : Scalar(message, field, -1);
  }
  std::vector<std::string> values;
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    values.push_back(field->cpp_type() == Field::CPPTYPE_MESSAGE
                         ? Flow(reflection.GetRepeatedMessage(message, field, i))
                         : Scalar(message, field, i));
  }
  return absl::StrCat("[", absl::StrJoin(values, ", "), "]");
}

std::string Flow(const pb::Message& message) {
  std::vector<std::string> parts;
  for (const Field* field : SetFields(message)) {
    parts.push_back(absl::StrCat(field->name(), ": ", FlowValue(message, field)));
  }
  return absl::StrCat("{", absl::StrJoin(parts, ", "), "}");
}

void AppendBlock(const pb::Message& message, const std::string& indent, std::string* out) {
  for (const Field* field : SetFields(message)) {
    if (field->is_repeated() || field->cpp_type() != Field::CPPTYPE_MESSAGE) {
      absl::StrAppend(out, indent, field->name(), ": ", FlowValue(message, field), "\n");
      continue;
    }
    const pb::Message& inner = message.GetReflection()->GetMessage(message, field);
    if (SetFields(inner).empty()) {
      absl::StrAppend(out, indent, field->name(), ": {}\n");
      continue;
    }
    absl::StrAppend(out, indent, field->name(), ":\n");
    AppendBlock(inner, indent + "  ", out);
  }
}

}  // namespace

std::string MessageText(const pb::Message& message) {
  return Flow(message);
}

std::string ScalarText(const std::string& text) {
  return TextScalar(text);
}

std::string ScalarText(double number) {
  return NumberScalar(number);
}

std::string JobFileText(const v1::JobSpec& spec) {
  std::string text;
  AppendBlock(spec, "", &text);
  return text;
}

}  // namespace wattle::formats
