// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks of every message that enters the core. Private to coordinator/core. Pure.
#ifndef WATTLE_COORDINATOR_CORE_MESSAGE_CHECKS_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_MESSAGE_CHECKS_INTERNAL_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace wattle::core {

inline constexpr size_t kNameCharactersMax = 80;
inline constexpr int kLabelsMax = 64;
inline constexpr int kForecastHoursMax = 384;

// The refusal in one line, although its message may quote the caller.
absl::Status InOneLine(const absl::Status& refusal);

// path: position of the message, for errors; empty: the message is the outermost.

// Refuses fields and enum values that this version does not know. Such fields come from a newer
// client, and a job that ignores them would not be the job that was asked for. Errors:
// kUnimplemented.
absl::Status RefuseUnknown(const google::protobuf::Message& message, const std::string& path);

// Checks the length of every text of the message, also in nested messages and lists. Prompts have
// their own bound. Errors: kInvalidArgument.
absl::Status CheckTexts(const google::protobuf::Message& message, const std::string& path);

// Exactly one of two fields must be set: a reference to files, or a shape that replaces the files
// in a dry run.
struct FilesOrShape {
  std::string prefix;  // "finetune."
  absl::string_view field;
  absl::string_view shape_field;
  bool has_files = false;
  bool has_shape = false;
  absl::string_view list_command;
};

// files_needed: as in ValidateSpec. Errors: kInvalidArgument.
absl::Status CheckFilesOrShape(const FilesOrShape& input, bool files_needed);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_MESSAGE_CHECKS_INTERNAL_H_
