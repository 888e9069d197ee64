// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Files that a command writes in addition to its output.
#ifndef WATTLE_CLI_TEXT_FILE_H_
#define WATTLE_CLI_TEXT_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace wattle::cli {

// The path that means the standard output.
inline constexpr absl::string_view kStandardOutput = "-";

// Refuses a flag that names the standard output if the answer goes there already. Errors:
// kInvalidArgument names the flag.
absl::Status CheckOneOutput(absl::string_view flag, absl::string_view path, bool json);

// flag: the flag that named the file, such as "--json". Errors: kInternal names flag and path.
absl::Status WriteTextFile(absl::string_view flag, const std::string& path, absl::string_view text);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TEXT_FILE_H_
