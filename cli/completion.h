// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shell completion. A shell's script is a few lines that call the program itself: `wattle
// __complete WORDS…`. A new command or flag is therefore completed as soon as it exists. The
// program fetches ids and names of the fleet from the coordinator, and waits for them only briefly.
#ifndef WATTLE_CLI_COMPLETION_H_
#define WATTLE_CLI_COMPLETION_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <CLI/App.hpp>

namespace wattle::cli {

// The script for "bash", "zsh" or "fish". kInvalidArgument for another shell.
absl::StatusOr<std::string> CompletionScript(const std::string& shell);

// The fleet's names of one sort. The sorts: "JOB", "DEVICE", "POLICY", "REFERENCE" (of an
// artifact), "CLASS" (of devices).
using FleetNames = std::function<std::vector<std::string>(const std::string& sort)>;

// The candidates for the last word. words: those after the program's name; the last word is being
// typed and may be empty. The candidates ":files" and ":directories" tell the shell to complete
// paths itself.
std::vector<std::string> Complete(CLI::App* app, const std::vector<std::string>& words,
                                  const FleetNames& fleet_names);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_COMPLETION_H_
