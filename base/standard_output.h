// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The end of a command that prints its answer: an answer that could not be written is an error.
#ifndef WATTLE_BASE_STANDARD_OUTPUT_H_
#define WATTLE_BASE_STANDARD_OUTPUT_H_

#include "absl/strings/string_view.h"

namespace wattle {

// Writes out what stdout and std::cout still hold. Returns `exit_code`, or 1 where that was 0 and
// some of the answer is lost, as on a full disk; then one line on standard error says so.
int AfterOutput(absl::string_view program, int exit_code);

}  // namespace wattle

#endif  // WATTLE_BASE_STANDARD_OUTPUT_H_
