// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Bounds of a message's numbers as a table, and one check for all of them. Thread-safe.
#ifndef WATTLE_PROTO_FIELD_BOUNDS_H_
#define WATTLE_PROTO_FIELD_BOUNDS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"

namespace wattle {

struct FieldBound {
  absl::string_view path;  // "batch_size", or through messages: "finetune.lora.rank".
  double min;
  double max;
};

// Checks that each number is from `min` to `max`; NaN never is. Numbers in unset messages are not
// checked. Errors: kInvalidArgument, for example "finetune.batch_size: -1: want 0 to 4096";
// `prefix` stands before the path.
absl::Status CheckBounds(const google::protobuf::Message& message, absl::string_view prefix,
                         absl::Span<const FieldBound> bounds);

}  // namespace wattle

#endif  // WATTLE_PROTO_FIELD_BOUNDS_H_
