// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The program `wattle` as a function: arguments go in, an exit code comes out, and the environment
// supplies everything else. Start reading here. Each noun's commands are in one file.
#ifndef WATTLE_CLI_PROGRAM_H_
#define WATTLE_CLI_PROGRAM_H_

#include <string>
#include <vector>

#include "cli/environment.h"

namespace wattle::cli {

// arguments: without the program's name. Returns a code of exit_code.h. An error is one line on
// environment.err that begins with "wattle: ".
int RunProgram(const std::vector<std::string>& arguments, const std::string& version,
               const Environment& environment);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PROGRAM_H_
