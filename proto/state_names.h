// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Enum values as the words that tables, metrics and reasons have for them, and which states of jobs
// and attempts are final. Thread-safe.
#ifndef WATTLE_PROTO_STATE_NAMES_H_
#define WATTLE_PROTO_STATE_NAMES_H_

#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/generated_enum_reflection.h"

#include "wattle/v1/job.pb.h"

namespace wattle {

// The value's name without the prefix that its type gives it, in lower case: JOB_STATE_ACTIVE →
// "active". A value that this version does not know: its number.
std::string LowerName(const google::protobuf::EnumDescriptor& type, int value);

template <typename Enum>
std::string LowerName(Enum value) {
  return LowerName(*google::protobuf::GetEnumDescriptor<Enum>(), static_cast<int>(value));
}

// The state is final: nothing follows it.
bool IsTerminal(v1::JobState state);
bool IsTerminal(v1::AttemptState state);

}  // namespace wattle

#endif  // WATTLE_PROTO_STATE_NAMES_H_
