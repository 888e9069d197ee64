// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The answer of a command on standard output: help that fits the terminal, and an error if the
// answer cannot be written.
#ifndef WATTLE_BASE_STANDARD_OUTPUT_H_
#define WATTLE_BASE_STANDARD_OUTPUT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace wattle {

// Columns of the terminal behind the descriptor, 80 if unknown; 0: no terminal.
int TerminalColumns(int descriptor);

// `help` with its longer lines broken at blanks to at most `columns`; 0: unchanged. The
// continuation of a description is indented to its beginning. Longer words are not broken.
std::string WrapHelp(absl::string_view help, int columns);

// Writes out what stdout and std::cout still hold. Returns `exit_code`, or 1 if that was 0 and some
// of the answer is lost, as on a full disk; one line on standard error then reports the loss.
int AfterOutput(absl::string_view program, int exit_code);

// Prints help, wrapped for the terminal, or a version. Returns the exit code of AfterOutput.
int PrintHelp(absl::string_view program, absl::string_view help);

}  // namespace wattle

#endif  // WATTLE_BASE_STANDARD_OUTPUT_H_
