// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The file of wattle profile export: a v1::ProfileExport in protobuf's JSON form, with the field
// names of the .proto files. Thread-safe.
#ifndef WATTLE_CLI_PROFILE_FILE_H_
#define WATTLE_CLI_PROFILE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "wattle/v1/profile.pb.h"

namespace wattle::cli {

// Errors: kAlreadyExists; those of DurableFile.
absl::Status WriteProfileFile(const v1::ProfileExport& rows, const std::string& path);

// Reads the text and the head. The coordinator, which has the other rows, judges the rows' numbers.
// Errors: kInvalidArgument, one line with the file and the fault: a file of another kind or
// version, without rows, or with a field that this version does not know.
absl::StatusOr<v1::ProfileExport> ReadProfileFile(const std::string& path);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PROFILE_FILE_H_
