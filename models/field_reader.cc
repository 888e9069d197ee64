// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/field_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "formats/json.h"
#include "models/decoder_config.h"

namespace wattle::models {

using formats::Json;
using formats::Printable;
using formats::WholeNumber;
using formats::WrongKind;

const Json* FieldReader::Find(const char* field) const {
  const auto found = json_.find(field);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

bool FieldReader::IsNull(const char* field) const {
  return json_.contains(field) && Find(field) == nullptr;
}

int64_t FieldReader::Size(const char* field, std::optional<int64_t> absent) {
  const Json* value = Find(field);
  if (value == nullptr) {
    if (!absent.has_value()) {
      Fail(absl::InvalidArgumentError(
          absl::StrCat(file_, ": ", field, ": missing; a whole number from 1 on is needed")));
    }
    return absent.value_or(1);
  }
  const std::optional<int64_t> number = WholeNumber(*value);
  if (!number.has_value() || *number < 1 || *number > kSizeMax) {
    Fail(WrongKind(file_, field, absl::StrCat("a whole number from 1 to ", kSizeMax), *value));
    return 1;
  }
  return *number;
}

int64_t FieldReader::TokenId(const char* field, int64_t absent, int64_t vocabulary) {
  const Json* value = Find(field);
  const std::optional<int64_t> id =
      value == nullptr ? std::optional<int64_t>(absent) : WholeNumber(*value);
  if (!id.has_value()) {
    Fail(WrongKind(file_, field, "a whole number", *value));
    return 0;
  }
  if (*id < 0 || *id >= vocabulary) {
    Fail(absl::InvalidArgumentError(
        absl::StrCat(file_, ": ", field, ": ", *id, value == nullptr ? " (the default)" : "",
                     " is outside the vocabulary of ", vocabulary,
                     "; write the id that the tokenizer has for this token")));
    return 0;
  }
  return *id;
}

std::vector<int64_t> FieldReader::TokenIds(const char* field, std::optional<int64_t> absent,
                                           int64_t vocabulary) {
  const Json* value = Find(field);
  if (IsNull(field) || (value == nullptr && !absent.has_value())) {
    return {};
  }
  if (value == nullptr || !value->is_array()) {
    return {TokenId(field, absent.value_or(0), vocabulary)};
  }
  std::vector<int64_t> ids;
  for (const Json& each : *value) {
    const std::optional<int64_t> id = WholeNumber(each);
    if (!id.has_value() || *id < 0 || *id >= vocabulary) {
      Fail(WrongKind(file_, field, "a token of the vocabulary, or a list of them", each));
      break;
    }
    ids.push_back(*id);
  }
  if (ids.empty()) {
    Fail(WrongKind(file_, field, "a token of the vocabulary, or a list of them", *value));
    ids.push_back(0);
  }
  return ids;
}

std::optional<std::vector<std::string>> FieldReader::Texts(
    const char* field, int64_t count, const std::vector<std::string>& allowed) {
  const Json* value = Find(field);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_array() || static_cast<int64_t>(value->size()) != count) {
    Fail(WrongKind(file_, field, absl::StrCat("a list of ", count, " texts"), *value));
    return std::nullopt;
  }
  std::vector<std::string> texts;
  for (const Json& each : *value) {
    if (!each.is_string() ||
        std::find(allowed.begin(), allowed.end(), each.get<std::string>()) == allowed.end()) {
      Fail(WrongKind(file_, field, absl::StrCat("only ", absl::StrJoin(allowed, ", ")), each));
      return std::nullopt;
    }
    texts.push_back(each.get<std::string>());
  }
  return texts;
}

const Json* FieldReader::Object(const char* field) {
  const Json* value = Find(field);
  if (value != nullptr && !value->is_object()) {
    Fail(WrongKind(file_, field, "an object", *value));
    return nullptr;
  }
  return value;
}

double FieldReader::Number(const char* field, double absent, double low, double high) {
  const Json* value = Find(field);
  if (value == nullptr) {
    return absent;
  }
  if (!value->is_number() || value->get<double>() < low || value->get<double>() >= high) {
    Fail(WrongKind(file_, field, absl::StrCat("a number from ", low, " to below ", high), *value));
    return absent;
  }
  return value->get<double>();
}

bool FieldReader::Flag(const char* field, bool absent) {
  const Json* value = Find(field);
  if (value == nullptr) {
    return absent;
  }
  if (!value->is_boolean()) {
    Fail(WrongKind(file_, field, "true or false", *value));
    return absent;
  }
  return value->get<bool>();
}

std::string FieldReader::Text(const char* field, const char* absent) {
  const Json* value = Find(field);
  if (value == nullptr) {
    return absent;
  }
  if (!value->is_string()) {
    Fail(WrongKind(file_, field, "text", *value));
    return absent;
  }
  return value->get<std::string>();
}

void FieldReader::Refuse(const char* field, absl::string_view value, absl::string_view wanted) {
  Fail(absl::UnimplementedError(absl::StrCat(file_, ": ", field, " ", Printable(value),
                                             ": not supported in this version; wanted ", wanted)));
}

void FieldReader::Fail(absl::Status status) {
  if (status_.ok()) {
    status_ = std::move(status);
  }
}

}  // namespace wattle::models
