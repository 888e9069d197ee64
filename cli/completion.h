// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shell completion. The scripts are a few lines each and ask the program itself, `wattle __complete
// WORDS…`, so that a new command or flag is completed as soon as it exists; ids and names of the
// fleet are asked of the coordinator, briefly.
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

// Names of things of one sort that the fleet has: "JOB", "DEVICE", "POLICY", "REFERENCE", "CLASS".
using FleetNames = std::function<std::vector<std::string>(const std::string& sort)>;

// What may follow: words are those after the program's name; the last one is being typed, perhaps
// empty. A candidate ":files" or ":directories" leaves the rest to the shell.
std::vector<std::string> Complete(CLI::App* app, const std::vector<std::string>& words,
                                  const FleetNames& fleet_names);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_COMPLETION_H_
