// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A number of a file's field: its type, its range, and spans of time. Private to formats. Pure;
// thread-safe.
#ifndef WATTLE_FORMATS_NUMBER_FIELD_INTERNAL_H_
#define WATTLE_FORMATS_NUMBER_FIELD_INTERNAL_H_

#include <string>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "wattle/v1/field_form.pb.h"

namespace wattle::formats {

// How people write the field (field_form.proto).
const v1::FieldForm& FormOf(const google::protobuf::FieldDescriptor* field);

// Sets the field, or adds to a repeated one, what the text says. Returns what is wrong with the
// text, for the end of an error; "": nothing. quoted: the file has the text in quotes.
std::string StoreNumber(const std::string& text, bool quoted,
                        const google::protobuf::FieldDescriptor* field,
                        google::protobuf::Message& message);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_NUMBER_FIELD_INTERNAL_H_
