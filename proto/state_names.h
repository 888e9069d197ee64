// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Names of enum values in tables, metrics and reasons, and the final states of jobs and attempts.
// Thread-safe.
#ifndef WATTLE_PROTO_STATE_NAMES_H_
#define WATTLE_PROTO_STATE_NAMES_H_

#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/generated_enum_reflection.h"

#include "wattle/v1/job.pb.h"

namespace wattle {

// The value's name in lower case without the prefix of its type: JOB_STATE_ACTIVE → "active". The
// number for a value unknown to this version.
std::string LowerName(const google::protobuf::EnumDescriptor& type, int value);

template <typename Enum>
std::string LowerName(Enum value) {
  return LowerName(*google::protobuf::GetEnumDescriptor<Enum>(), static_cast<int>(value));
}

// Whether the state is final.
bool IsTerminal(v1::JobState state);
bool IsTerminal(v1::AttemptState state);

}  // namespace wattle

#endif  // WATTLE_PROTO_STATE_NAMES_H_
