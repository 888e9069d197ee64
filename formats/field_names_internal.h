// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Advice for a person who wrote an unknown field: the field for the same quantity in another unit,
// the message that has the field, the most similar name, or a list of the names. Private to
// formats. Pure; thread-safe.
#ifndef WATTLE_FORMATS_FIELD_NAMES_INTERNAL_H_
#define WATTLE_FORMATS_FIELD_NAMES_INTERNAL_H_

#include <string>

#include "absl/strings/string_view.h"
#include <google/protobuf/descriptor.h>

namespace wattle::formats {

// Fields that the design has and this version does not have yet, in files of jobs and policies.
bool HasComingFields(const google::protobuf::Descriptor* root);
bool IsComingField(absl::string_view name);

// " of seconds", " of degrees Celsius", " from 0 to 1 (a ratio)"; empty for a field without a unit
// in its name.
std::string UnitOf(absl::string_view field);

// "did you mean …?", "write … ", "belongs inside …", "fields here: …". name: no field of `here`.
// root: the document's message.
std::string FieldAdvice(absl::string_view name, const google::protobuf::Descriptor* here,
                        const google::protobuf::Descriptor* root);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_FIELD_NAMES_INTERNAL_H_
