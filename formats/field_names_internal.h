// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What to tell somebody who wrote a field that is not there: the same quantity in the field's own
// unit, the place where it belongs, the nearest name, or the names there are. Private to formats.
// Pure; thread-safe.
#ifndef WATTLE_FORMATS_FIELD_NAMES_INTERNAL_H_
#define WATTLE_FORMATS_FIELD_NAMES_INTERNAL_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include <google/protobuf/descriptor.h>

namespace wattle::formats {

// Fields that the design names and this version does not have.
bool IsComingField(absl::string_view name);

// " of seconds", " of degrees Celsius", " from 0 to 1 (a ratio)"; empty for a field without a unit
// in its name.
std::string UnitOf(absl::string_view field);

// How many characters to insert, delete, replace, or swap with a neighbour.
size_t EditDistance(absl::string_view a, absl::string_view b);

// "did you mean …?", "write … ", "belongs inside …", "fields here: …". name: not a field of `here`.
// root: of the document.
std::string FieldAdvice(absl::string_view name, const google::protobuf::Descriptor* here,
                        const google::protobuf::Descriptor* root);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_FIELD_NAMES_INTERNAL_H_
