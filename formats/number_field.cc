// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "formats/field_names_internal.h"
#include "formats/json.h"
#include "formats/number_field_internal.h"

namespace wattle::formats {
namespace {

namespace pb = google::protobuf;

// YAML's words for numbers that are not finite (".nan", "-.inf"). No field accepts them.
bool IsYamlSpecialNumber(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  absl::string_view word = lower;
  if (!absl::ConsumePrefix(&word, "-")) {
    absl::ConsumePrefix(&word, "+");
  }
  return word == ".nan" || word == ".inf";
}

// Stores a number. False where the text is no number, or the number does not fit the field's type.
bool StoreTyped(const std::string& text, const pb::FieldDescriptor* field, pb::Message& message) {
  const pb::Reflection* reflection = message.GetReflection();
  const auto store = [&](auto number, auto set, auto add) {
    if (field->is_repeated()) {
      (reflection->*add)(&message, field, number);
    } else {
      (reflection->*set)(&message, field, number);
    }
    return true;
  };
  int32_t int32 = 0;
  int64_t int64 = 0;
  uint32_t uint32 = 0;
  uint64_t uint64 = 0;
  double number = 0.0;
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return absl::SimpleAtoi(text, &int32) &&
             store(int32, &pb::Reflection::SetInt32, &pb::Reflection::AddInt32);
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return absl::SimpleAtoi(text, &int64) &&
             store(int64_t{int64}, &pb::Reflection::SetInt64, &pb::Reflection::AddInt64);
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return absl::SimpleAtoi(text, &uint32) &&
             store(uint32, &pb::Reflection::SetUInt32, &pb::Reflection::AddUInt32);
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return absl::SimpleAtoi(text, &uint64) &&
             store(uint64, &pb::Reflection::SetUInt64, &pb::Reflection::AddUInt64);
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return absl::SimpleAtod(text, &number) && std::isfinite(number) &&
             store(static_cast<float>(number), &pb::Reflection::SetFloat,
                   &pb::Reflection::AddFloat);
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::SimpleAtod(text, &number) && std::isfinite(number) &&
             store(number, &pb::Reflection::SetDouble, &pb::Reflection::AddDouble);
    case pb::FieldDescriptor::CPPTYPE_STRING:
    case pb::FieldDescriptor::CPPTYPE_ENUM:
    case pb::FieldDescriptor::CPPTYPE_BOOL:
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return false;
}

// "1d 12h", "90m", "30s": numbers with units; a 0 needs none.
bool ParseSpan(absl::string_view text, double* seconds) {
  *seconds = 0.0;
  if (text == "0") {
    return true;
  }
  bool any = false;
  while (!text.empty()) {
    const size_t unit = text.find_first_of("dhms");
    double number = 0.0;
    if (unit == absl::string_view::npos || !absl::SimpleAtod(text.substr(0, unit), &number) ||
        !std::isfinite(number) || number < 0.0) {
      return false;
    }
    const char name = text[unit];
    *seconds += number * (name == 'd' ? 86400.0 : name == 'h' ? 3600.0 : name == 'm' ? 60.0 : 1.0);
    text = absl::StripLeadingAsciiWhitespace(text.substr(unit + 1));
    any = true;
  }
  return any;
}

bool IsInRange(double number, const v1::FieldForm& form) {
  return !(form.has_min() && number < form.min()) && !(form.has_max() && number > form.max()) &&
         !(form.has_above() && number <= form.above());
}

// " from 0 to 1", " above 0", " from 1 on"; "" for a field without a range.
std::string RangeOf(const v1::FieldForm& form) {
  return absl::StrCat(form.has_above() ? absl::StrCat(" above ", form.above()) : "",
                      form.has_min() ? absl::StrCat(" from ", form.min()) : "",
                      form.has_max()   ? absl::StrCat(" to ", form.max())
                      : form.has_min() ? " on"
                                       : "");
}

// What is wrong with a text that is no number of the field's type and range.
std::string WhyWrong(const std::string& text, bool quoted, const pb::FieldDescriptor* field) {
  const bool fraction = field->cpp_type() == pb::FieldDescriptor::CPPTYPE_DOUBLE ||
                        field->cpp_type() == pb::FieldDescriptor::CPPTYPE_FLOAT;
  const std::string wanted = absl::StrCat(fraction ? "a plain number" : "a whole number",
                                          UnitOf(field->name()), RangeOf(FormOf(field)));
  const std::string shown = Printable(text);
  double number = 0.0;
  const bool is_number = absl::SimpleAtod(text, &number) && std::isfinite(number);
  if (is_number && quoted) {
    return absl::StrCat("wants ", wanted, ", found text; remove the quotes around ", shown);
  }
  if (is_number) {
    return absl::StrCat("wants ", wanted,
                        IsInRange(number, FormOf(field)) ? " in range, found " : ", found ", shown);
  }
  if (absl::SimpleAtod(text, &number) || IsYamlSpecialNumber(text)) {
    return absl::StrCat("\"", shown, "\" is no finite number; write ", wanted);
  }
  if (!text.empty() && (absl::ascii_isdigit(static_cast<unsigned char>(text[0])) ||
                        text[0] == '.' || text[0] == '-')) {
    return absl::StrCat("\"", shown, "\" has a unit; write ", wanted);
  }
  return absl::StrCat("wants ", wanted, ", found \"", shown, "\"");
}

}  // namespace

const v1::FieldForm& FormOf(const pb::FieldDescriptor* field) {
  return field->options().GetExtension(v1::form);
}

std::string StoreNumber(const std::string& text, bool quoted, const pb::FieldDescriptor* field,
                        pb::Message& message) {
  const v1::FieldForm& form = FormOf(field);
  double number = 0.0;
  bool stored = false;
  if (form.span()) {
    stored = ParseSpan(text, &number);
    message.GetReflection()->SetDouble(&message, field, number);
  } else {
    stored = !quoted && absl::SimpleAtod(text, &number) && StoreTyped(text, field, message);
  }
  if (stored && IsInRange(number, form)) {
    return "";
  }
  return form.has_wanted() ? absl::StrCat("\"", Printable(text), "\"; wanted ", form.wanted())
                           : WhyWrong(text, quoted, field);
}

}  // namespace wattle::formats
