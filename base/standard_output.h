// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The answer of a command on standard output: help that fits the terminal, and an error where the
// answer cannot be written.
#ifndef WATTLE_BASE_STANDARD_OUTPUT_H_
#define WATTLE_BASE_STANDARD_OUTPUT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace wattle {

// Columns of the terminal behind the descriptor, 80 if it does not tell; 0: it is no terminal.
int TerminalColumns(int descriptor);

// `help` with its longer lines broken at blanks to at most `columns`; 0: as it is. The rest of a
// description stands below its beginning. A longer word stays whole.
std::string WrapHelp(absl::string_view help, int columns);

// Writes out what stdout and std::cout still hold. Returns `exit_code`, or 1 where that was 0 and
// some of the answer is lost, as on a full disk; then one line on standard error says so.
int AfterOutput(absl::string_view program, int exit_code);

// Prints help, wrapped for the terminal, or a version. Returns the exit code of AfterOutput.
int PrintHelp(absl::string_view program, absl::string_view help);

}  // namespace wattle

#endif  // WATTLE_BASE_STANDARD_OUTPUT_H_
