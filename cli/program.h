// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The program `wattle` as a function. Arguments go in, an exit code comes out; the environment has
// everything else. Start reading here. Each noun's commands are in one file.
#ifndef WATTLE_CLI_PROGRAM_H_
#define WATTLE_CLI_PROGRAM_H_

#include <string>
#include <vector>

#include "cli/environment.h"

namespace wattle::cli {

// arguments: without the program's name. Returns a code of exit_code.h. Errors are one line on
// environment.err that begins with "wattle: ".
int RunProgram(const std::vector<std::string>& arguments, const std::string& version,
               const Environment& environment);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PROGRAM_H_
